import ArgumentParser
import FarmModel
import FoundationEssentials
import Glibc

/// The command `fault-harness`.
@main
struct FaultHarness: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fault-harness",
        abstract:
            "Does to a farm what machines and networks do, and looks for pictures lost or doubled.",
        subcommands: [RunCommand.self, WorkerCommand.self],
        defaultSubcommand: RunCommand.self
    )
}

/// Usage: `fault-harness --runs 20`, `fault-harness --kill-during upload --times 50`.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run farms under faults; exits with 1 when anything is found.",
        discussion: """
            A run has PostgreSQL, two coordinators, and workers, all of them real processes, all \
            connections through a proxy. Its faults follow from its seed. After it the database, the \
            events, the API's answers and every blob are held against what was asked for.
            """
    )

    @Option(help: "How many runs, of successive seeds.")
    var runs = 1

    @Option(help: "The first run's seed; the same seed gives the same faults again.")
    var seed: UInt64 = 1

    @Option(
        help:
            "How many images the first job of a run has; more jobs follow where faults take longer."
    )
    var images = 100

    @Option(help: "How many faults a run has.")
    var faults = 10

    @Option(help: "Only faults of this kind; may be given several times.")
    var kind: [String] = []

    @Option(help: "Every so many runs have two real workers beside the simulated ones; 0 is none.")
    var realEvery = 4

    @Option(
        help: "Instead kill in the middle of it: upload, delivery, checkpoint, gc or migration."
    )
    var killDuring: String?

    @Option(help: "How many times.")
    var times = 50

    @Flag(help: "Take the fence out, and exit with 1 unless that is found; debug builds only.")
    var withoutFence = false

    @Flag(help: "Only say which faults the runs would have.")
    var plan = false

    @Option(name: .customLong("json"), help: "A file for all results as JSON.")
    var jsonFile: String?

    @Option(help: "The folder of the programs; this one's when left out.")
    var binaries: String?

    @Option(help: "The clone of dreamfarm.")
    var repository = "."

    @Option(help: "The folder to work in, which must not be there; a temporary one when left out.")
    var folder: String?

    @Flag(help: "Keep each run's folder, not only those in which something was found.")
    var keep = false

    private var lease: Duration { FarmShape().lease }

    private func kinds() throws -> [FaultKind] {
        guard !kind.isEmpty else { return FaultKind.allCases }
        return try kind.map { name in
            guard let kind = FaultKind(rawValue: name) else {
                let known = FaultKind.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--kind must be one of \(known), not '\(name)'")
            }
            return kind
        }
    }

    private func moment() throws -> KillMoment? {
        guard let killDuring else { return nil }
        guard let moment = KillMoment(rawValue: killDuring) else {
            let known = KillMoment.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--kill-during must be one of \(known), not '\(killDuring)'")
        }
        return moment
    }

    func validate() throws {
        for (name, value) in [
            ("runs", runs), ("images", images), ("faults", faults), ("times", times),
        ]
        where value < 1 {
            throw ValidationError("--\(name) must be at least 1, not \(value)")
        }
        if seed < 1 { throw ValidationError("--seed must be at least 1") }
        if realEvery < 0 { throw ValidationError("--real-every must not be below 0") }
        _ = try (kinds(), moment())
    }

    func run() async throws {
        if plan {
            for seed in seed..<(seed + UInt64(runs)) {
                print(try makePlan(seed).lines.joined(separator: "\n"))
            }
            return
        }
        let work = folder ?? "/tmp/dreamfarm-faults-\(getpid())"
        if FileManager.default.fileExists(atPath: work) {
            throw ValidationError("\(work) is there already; give another --folder")
        }
        let session = Session(command: self, work: work)
        let summary: Summary
        do {
            summary = try await Interruption.whileWatching { try await session.runAll() }
        } catch {
            RunLog.write("kept in \(work)")
            throw error
        }
        print(summary.text)
        if let jsonFile { try Data(try summary.json.utf8).write(to: URL(filePath: jsonFile)) }
        let isRight = withoutFence ? summary.findsMissingFence : summary.findings.isEmpty
        if withoutFence {
            print(isRight ? "the missing fence was found" : "the missing fence was NOT found")
        }
        if isRight, !keep {
            try FileManager.default.removeItem(atPath: work)
        } else {
            print("kept in \(work)")
        }
        if !isRight { throw ExitCode.failure }
    }

    func makePlan(_ seed: UInt64) throws -> FaultPlan {
        FaultPlan(seed: seed, count: faults, kinds: try kinds(), lease: lease)
    }

    /// All runs of a command, one after the other.
    struct Session: Sendable {
        let command: RunCommand
        let work: String

        func runAll() async throws -> Summary {
            let installation = try await Installation(
                programs: try command.binaries ?? Self.ownFolder(),
                repository: command.repository,
                work: work
            )
            if try command.moment() == .migration {
                try await installation.makeTemplate()
                let killer = MigrationKiller(
                    installation: installation,
                    log: RunLog(prefix: "migration")
                )
                return Summary([try await killer.run(times: command.times)])
            }
            try await installation.makeTemplate()
            let auditor = try Auditor(repository: command.repository)
            if let moment = try command.moment() {
                return Summary([try await kill(moment, installation, auditor)])
            }
            let seeds = command.seed..<(command.seed + UInt64(command.runs))
            let hasReal = seeds.contains { isReal($0) }
            let rendered = hasReal ? try await RealPictures.digests(installation) : [:]
            var reports: [RunReport] = []
            for seed in seeds {
                reports.append(try await run(seed, installation, auditor, rendered))
            }
            return Summary(reports)
        }

        private func isReal(_ seed: UInt64) -> Bool {
            command.realEvery > 0 && seed % UInt64(command.realEvery) == 0
        }

        private func run(
            _ seed: UInt64,
            _ installation: Installation,
            _ auditor: Auditor,
            _ rendered: [Int64: BlobDigest]
        ) async throws -> RunReport {
            let log = RunLog(prefix: "seed \(seed)")
            let plan = try command.makePlan(seed)
            var shape = FarmShape()
            shape.isWithoutFence = command.withoutFence
            if isReal(seed) {
                shape.workers = 7
                shape.realWorkers = 2
            }
            for line in plan.lines { log.say(line) }
            let run = FaultRun(
                installation: installation,
                shape: shape,
                images: command.images,
                rendered: rendered,
                auditor: auditor,
                isKept: command.keep
            )
            let report = try await run.run("seed-\(seed)", log) { farm, _ in
                try await Injector(farm: farm, log: log).run(plan)
            }
            log.say("\(report.images) images, \(report.findings.count) findings")
            return report
        }

        private func kill(
            _ moment: KillMoment,
            _ installation: Installation,
            _ auditor: Auditor
        ) async throws -> RunReport {
            let log = RunLog(prefix: moment.rawValue)
            var shape = FarmShape()
            shape.savesCheckpoints = moment == .checkpoint
            var run = FaultRun(
                installation: installation,
                shape: shape,
                images: command.images,
                rendered: [:],
                auditor: auditor,
                isKept: command.keep
            )
            run.imageSeconds = 0.6
            let times = command.times
            return try await run.run(moment.rawValue, log) { farm, _ in
                try await MomentKiller(farm: farm, log: log).run(moment, times: times)
            }
        }

        /// The folder of this program.
        private static func ownFolder() throws -> String {
            let path = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
                .joined(separator: "/")
        }
    }
}
