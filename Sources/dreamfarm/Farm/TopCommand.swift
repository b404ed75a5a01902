import ArgumentParser
import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import Imaging

/// Usage: `dreamfarm top [--interval TIME] [--once]`.
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract:
            "Watch the fleet: workers, what they render, what waits and why, jobs and when they end.",
        discussion: """
            On a terminal the picture is drawn anew every interval until Ctrl-C; elsewhere, and with \
            --once, it is printed once.
            """
    )

    @Option(help: "How long to wait between two looks, as 2s or 0.5s.")
    var interval = "2s"

    @Flag(help: "Print once and end.")
    var once = false

    @Option(help: "How many jobs to show.")
    var jobs = 10

    @OptionGroup var farm: FarmOptions

    func validate() throws {
        guard let pause = FarmSettings.duration(interval), pause >= .milliseconds(200) else {
            throw ValidationError("--interval is a time from 0.2s on, as 2s, not '\(interval)'")
        }
        guard jobs > 0 else { throw ValidationError("--jobs must be 1 or more, not \(jobs)") }
    }

    func run() async throws {
        try await CommandExit.run {
            let client = try farm.client()
            let isLive = !once && farm.format == .text && StandardOutput.isTerminal
            var rate = DeliveryRate()
            while true {
                do {
                    let look = try await FleetLook(client, jobs: jobs)
                    rate.note(look)
                    guard farm.format == .text else {
                        print(try FarmJSON.text(look))
                        return .done
                    }
                    let size = isLive ? TerminalSize(of: STDOUT_FILENO) : nil
                    let lines = look.lines(perSecond: rate.perSecond).map { shown($0) }
                    guard let size else {
                        for line in lines { print(line) }
                        return .done
                    }
                    let visible = lines.prefix(size.rows - 1).map { $0.prefix(size.columns) }
                    // Home, each line to its end, and nothing below.
                    FileHandleText.write(
                        "\u{1b}[H" + visible.map { "\($0)\u{1b}[K\n" }.joined() + "\u{1b}[J",
                        to: STDOUT_FILENO
                    )
                } catch let error as FarmClientError where error.isAway && isLive {
                    FileHandleText.write("\u{1b}[H\(error); waiting\u{1b}[K\n", to: STDOUT_FILENO)
                }
                try await Task.sleep(for: FarmSettings.duration(interval) ?? .seconds(2))
            }
        }
    }
}

/// The fleet at one moment.
private struct FleetLook: Encodable {
    var at = Date()
    var farm: FarmView
    var capacity: CapacityView
    var workers: [WorkerView]
    var jobs: [JobView]

    init(_ client: CoordinatorClient, jobs most: Int) async throws {
        async let farm = client.farm()
        async let capacity = client.capacity()
        async let workers = client.workers().all()
        var found: [JobView] = []
        for state in [JobState.running, .drafted, .pending, .paused] {
            let rest = most - found.count
            guard rest > 0 else { break }
            for job in try await client.jobs(JobFilter(state: state)).all(limit: rest) {
                // The list does not tell when they end.
                found.append(try await client.job(job.id.description))
            }
        }
        jobs = found
        self.farm = try await farm
        self.capacity = try await capacity
        self.workers = try await workers
    }

    func lines(perSecond: Double?) -> [String] {
        var lines: [String] = []
        let states = Dictionary(grouping: workers, by: \.state)
            .map { "\($0.value.count) \($0.key.rawValue)" }.sorted().joined(separator: ", ")
        lines.append(
            "dreamfarm \(farm.version)\(farm.isPaused ? ", PAUSED" : "")  workers: \(states.isEmpty ? "none" : states)"
        )
        var counts = "tasks: \(capacity.leasedTasks) at workers, \(capacity.waitingTasks) waiting"
        if let perSecond {
            counts += "  pictures: \((perSecond * 600).rounded() / 10) a minute"
        }
        lines.append(counts)
        if !capacity.waiting.isEmpty {
            let reasons = capacity.waiting.sorted { $0.value > $1.value }
                .map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            lines.append("waiting for: \(reasons)")
        }
        for pool in capacity.pools where pool.images > 0 {
            let time = pool.seconds.map { ", done in \(TimeText.short($0))" } ?? ""
            lines.append(
                "pool \(pool.pool): \(pool.images) pictures\(time), \(pool.workers) workers of "
                    + "\(pool.recommended) that it should have\(pool.isPaused ? ", PAUSED" : "")"
            )
        }
        var table = TextTable("JOB", "OWNER", "STATE", "DONE", "ENDS IN", "WAITS FOR")
        for job in jobs {
            table.add(
                job.name,
                job.owner,
                job.state.rawValue,
                "\(job.images.delivered)/\(job.images.total)",
                TimeText.eta(of: job) ?? "-",
                job.waiting?.first?.reason.rawValue ?? ""
            )
        }
        if !jobs.isEmpty { lines += [""] + table.lines }
        var fleet = TextTable(
            "WORKER",
            "STATE",
            "POOL",
            "MODEL",
            "GROUP",
            "IMAGE",
            "STEP",
            "S/STEP"
        )
        for worker in workers {
            let step = worker.running?.first
            fleet.add(
                worker.name,
                worker.state.rawValue,
                worker.pool,
                worker.model,
                worker.group ?? "-",
                step?.image.map { "\($0)" } ?? "-",
                step.map { "\($0.step)/\($0.steps)" } ?? "-",
                step?.stepSeconds.map { "\(($0 * 100).rounded() / 100)" } ?? "-"
            )
        }
        if !workers.isEmpty { lines += [""] + fleet.lines }
        return lines
    }
}

/// How many pictures are delivered in a second, over the last looks, of the jobs that are shown.
private struct DeliveryRate {
    private var looks: [(at: Date, delivered: [JobID: Int])] = []

    private(set) var perSecond: Double?

    mutating func note(_ look: FleetLook) {
        let delivered = Dictionary(
            look.jobs.map { ($0.id, $0.images.delivered) },
            uniquingKeysWith: { first, _ in first }
        )
        looks.append((look.at, delivered))
        if looks.count > 15 { looks.removeFirst() }
        guard let first = looks.first, look.at > first.at else { return }
        let count = delivered.reduce(0) { sum, job in
            sum + max(0, job.value - (first.delivered[job.key] ?? job.value))
        }
        perSecond = Double(count) / look.at.timeIntervalSince(first.at)
    }
}
