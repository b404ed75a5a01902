import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc

/// Usage: `dreamfarm simulate --workers 2000 --images 200000`.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run a farm of simulated workers, and audit its database at the end.",
        discussion: """
            The coordinator and PostgreSQL are the real ones, in a folder of their own; the workers \
            keep the protocol, take modelled time, and deliver a few bytes. Some crash, fail, lie, or \
            hang as they are told. Exits with 1 when the audit finds anything, or a limit is broken. \
            Ctrl-C and SIGTERM end the coordinator, its PostgreSQL and the temporary folder too.
            """
    )

    @Option(help: "How many workers.")
    var workers = 200

    @Option(help: "How many images, over all jobs.")
    var images = 20_000

    @Option(help: "How many jobs each owner has.")
    var jobs = 2

    @Option(help: "How many owners.")
    var owners = 20

    @Option(help: "How many images make a task.")
    var chunk = 1

    @Option(help: "How long an image takes (8s, 200ms is 0.2).")
    var imageTime = DurationArgument(.seconds(2))

    @Option(help: "How many of a thousand images end with the worker gone without a word.")
    var crashes = 1

    @Option(help: "How many of a thousand images fail.")
    var failures = 2

    @Option(help: "How many workers deliver wrong pictures; audits are to find all of them.")
    var liars = 0

    @Option(help: "The coordinator's audit-share, as 0.02 or 2%.")
    var auditShare = "0"

    @Option(help: "The seed of everything that is drawn.")
    var seed: UInt64 = 1

    @Option(help: "How long leases last.")
    var lease = DurationArgument(.seconds(60))

    @Option(help: "How often workers are heard of.")
    var heartbeat = DurationArgument(.seconds(15))

    @Option(help: "An empty folder for the farm; a temporary one that is removed when left out.")
    var folder: String?

    func validate() throws {
        for (name, value) in [
            ("workers", workers), ("images", images), ("jobs", jobs), ("owners", owners),
            ("chunk", chunk),
        ] where value < 1 {
            throw ValidationError("--\(name) must be at least 1, not \(value)")
        }
        for (name, value) in [("crashes", crashes), ("failures", failures)]
        where !(0...500).contains(value) {
            throw ValidationError("--\(name) must be from 0 to 500 of a thousand, not \(value)")
        }
        if !(0...workers).contains(liars) {
            throw ValidationError("--liars must be from 0 to the number of workers, not \(liars)")
        }
        if images < owners * jobs {
            throw ValidationError("--images must be at least one for each of the jobs")
        }
    }

    func run() async throws {
        try await CommandExit.run {
            try raiseDescriptorLimit()
            let path = try folder ?? Self.temporaryFolder()
            if let folder, let files = try? FileManager.default.contentsOfDirectory(atPath: folder),
                !files.isEmpty
            {
                throw SimulationError.folderInUse(folder)
            }
            defer { if folder == nil { try? FileManager.default.removeItem(atPath: path) } }
            let interruption = Interruption()
            let farm = try await SimulatedFarm(
                folder: path,
                lease: lease.duration,
                heartbeat: heartbeat.duration,
                auditShare: auditShare,
                interruption: interruption
            )
            let simulation = Simulation(settings: self, farm: farm, interruption: interruption)
            let result: Result<SimulationReport, any Error>
            do {
                result = .success(try await simulation.run())
            } catch {
                result = .failure(error)
            }
            farm.stop()
            var report = try result.get()
            let audit = try farm.audit()
            report.isClean = audit.isClean
            for line in report.lines { print(line) }
            print(audit.text)
            return report.isWithinLimits ? .done : .error
        }
    }

    /// A folder that the account which runs PostgreSQL for root can enter.
    private static func temporaryFolder() throws -> String {
        let path = "/tmp/dreamfarm-simulate-\(getpid())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        chmod(path, 0o711)
        return path
    }

    /// Lets this process and its coordinator hold a connection for each worker.
    private func raiseDescriptorLimit() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let wanted = rlim_t(workers * 4 + 1024)
        guard limit.rlim_cur < wanted else { return }
        limit.rlim_cur = min(wanted, limit.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
