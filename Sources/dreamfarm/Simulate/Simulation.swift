import FarmClient
import FarmModel
import FoundationEssentials

/// A run of simulated workers over the jobs of several owners.
struct Simulation {
    let settings: SimulateCommand
    let farm: SimulatedFarm
    let interruption: Interruption

    /// Submits the jobs, lets the workers render them, and measures on the way.
    func run() async throws -> SimulationReport {
        let admin = try farm.client()
        let fleet = SimulatedFleet(
            client: try farm.fleetClient(),
            folder: farm.folder,
            imageSeconds: settings.imageTime.duration / .seconds(1),
            crashes: settings.crashes,
            failures: settings.failures,
            liars: settings.liars,
            seed: settings.seed
        )
        var report = SimulationReport(images: settings.images)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<settings.workers {
                group.addTask { try await fleet.work(number) }
            }
            while try await admin.models().all().isEmpty {
                try interruption.check()
                try await Task.sleep(for: .milliseconds(200))
            }
            StandardError.write("\(settings.workers) workers, \(settings.jobCount) jobs\n")
            var watch = SimulationWatch(farm: farm, admin: admin, images: settings.images)
            defer { report = watch.report }
            for number in 0..<settings.jobCount {
                try interruption.check()
                try await submit(number, admin)
                // The workers render already: a tenth may be over before the last job is there.
                _ = try await watch.look()
            }
            while try await !watch.look() {
                try interruption.check()
                try await Task.sleep(for: .milliseconds(500))
            }
            if settings.liars > 0 { watch.note(try await found(admin)) }
            group.cancelAll()
            while let ended = await group.nextResult() {
                if case .failure(let error) = ended, !(error is CancellationError) { throw error }
            }
        }
        return report
    }

    /// Which workers audits found to be liars, in comparison with those that were: what is still being
    /// compared when the last picture is there is waited for, but not for long.
    private func found(_ admin: CoordinatorClient) async throws -> SimulationReport.Finding {
        let liars = Set((0..<settings.liars).map(SimulatedFleet.name))
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            try interruption.check()
            let audits = try await admin.pictureAudits(state: .different).all()
            let found = Set(audits.compactMap(\.liar).map(SimulatedFleet.first))
            if found.isSuperset(of: liars) || .now > deadline {
                return SimulationReport.Finding(liars: liars, found: found)
            }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// Submits a job with a token of its owner; what the jobs require differs.
    private func submit(_ number: Int, _ admin: CoordinatorClient) async throws {
        let requirements = [
            "{}", "{pool: even}", "{pool: odd}", "{tags: [tag-1]}", "{memory: 8GiB}",
        ]
        let count = settings.jobCount
        let owner = "owner-\(number % settings.owners)"
        let token = try await admin.createToken(TokenRequest(owner: owner)).token
        let images = settings.images / count + (number < settings.images % count ? 1 : 0)
        let specification = try JobSpecification(
            parsing: """
                name: simulated-\(number)
                parameters: {prompt: a, seed: 1-\(images)}
                requirements: \(requirements[number % requirements.count])
                priority: \(20 + number % 60)
                chunk: {count: \(settings.chunk)}
                limits: {max_attempts: 50}
                """
        )
        _ = try await farm.client(token: token).submit(specification, key: nil)
    }
}

extension SimulateCommand {
    /// How many jobs there are, over all owners.
    fileprivate var jobCount: Int { owners * jobs }
}

/// Looks how far a simulation is, and shows it.
private struct SimulationWatch {
    private static let pause: Duration = .seconds(2)

    let farm: SimulatedFarm
    let admin: CoordinatorClient
    private(set) var report: SimulationReport
    private let begin = ContinuousClock.now
    private var shown = ContinuousClock.now

    init(farm: SimulatedFarm, admin: CoordinatorClient, images: Int) {
        self.farm = farm
        self.admin = admin
        report = SimulationReport(images: images)
    }

    /// Notes how far the jobs are, and returns whether all images are over.
    mutating func look() async throws -> Bool {
        let views = try await admin.jobs().all()
        report.note(
            over: views.reduce(0) { $0 + $1.images.delivered + $1.images.failed },
            seconds: (ContinuousClock.now - begin) / .seconds(1),
            residentBytes: farm.residentBytes
        )
        report.note(try await admin.farm().tables)
        report.delivered = views.reduce(0) { $0 + $1.images.delivered }
        let isOver =
            views.allSatisfy(\.state.isFinal)
            && views.reduce(0) { $0 + $1.images.total } == report.images
        if isOver || .now - shown >= Self.pause {
            shown = .now
            show()
        }
        return isOver
    }

    mutating func note(_ finding: SimulationReport.Finding) {
        report.finding = finding
    }

    private func show() {
        let line = report.progress
        StandardError.write(StandardError.isTerminal ? "\r\u{1b}[K\(line)" : "\(line)\n")
    }
}

/// What a simulation measured.
struct SimulationReport {
    let images: Int
    var delivered = 0
    var isClean = false
    /// What audits found; nil where nobody lies.
    var finding: Finding?
    private var over = 0
    private var seconds = 0.0
    private var residentBytes: Int64 = 0
    /// What the coordinator held when a tenth of the images was over.
    private var residentBytesAtTenth: Int64?
    /// Of each hot table, the rows when it was fullest of dead ones.
    private var fullest: [String: TableView] = [:]

    /// So few dead rows, some pages of them, are none to speak of: what claims leave in the seconds
    /// until the vacuum duty sees them, however many live rows there still are.
    private static let fewDeadRows = 4000

    /// The workers that lie, by name, and those that were found to.
    struct Finding {
        let liars: Set<String>
        let found: Set<String>

        var isRight: Bool { liars == found }

        var line: String {
            let missed = liars.subtracting(found).sorted()
            let wronged = found.subtracting(liars).sorted()
            return "liars: \(found.intersection(liars).count) of \(liars.count) found"
                + (missed.isEmpty ? "" : ", not \(missed.joined(separator: ", "))")
                + (wronged.isEmpty ? "" : "; wrongly \(wronged.joined(separator: ", "))")
        }
    }

    init(images: Int) {
        self.images = images
    }

    mutating func note(over: Int, seconds: Double, residentBytes: Int64) {
        self.over = over
        self.seconds = seconds
        self.residentBytes = residentBytes
        if residentBytesAtTenth == nil, over * 10 >= images { residentBytesAtTenth = residentBytes }
    }

    mutating func note(_ tables: [TableView]) {
        for table in tables {
            let former = fullest[table.name].map(Self.deadShare) ?? -1
            if Self.deadShare(table) > former { fullest[table.name] = table }
        }
    }

    /// Dead rows for each live one; where both are few, for each of so many.
    private static func deadShare(_ table: TableView) -> Double {
        Double(table.dead) / Double(max(table.live, fewDeadRows / 2))
    }

    var progress: String {
        let rate = seconds > 0 ? Int(Double(over) / seconds) : 0
        return "\(over) of \(images) images, \(rate) a second, coordinator "
            + ByteCount.text(residentBytes)
    }

    /// How much the coordinator grew from a tenth of the way to the end.
    var growth: Double {
        guard let residentBytesAtTenth, residentBytesAtTenth > 0 else { return 1 }
        return Double(residentBytes) / Double(residentBytesAtTenth)
    }

    var isWithinLimits: Bool {
        isClean && delivered == images && growth <= 1.2 && finding?.isRight != false
            && fullest.values.allSatisfy { Self.deadShare($0) <= 2 }
    }

    var lines: [String] {
        var lines = [
            "images: \(delivered) of \(images) delivered in \(Int(seconds)) s",
            "coordinator: \(ByteCount.text(residentBytesAtTenth ?? 0)) at a tenth, "
                + "\(ByteCount.text(residentBytes)) at the end, "
                + "\((growth * 100).rounded() / 100) times (limit 1.2)",
        ]
        for table in fullest.values.sorted(by: { $0.name < $1.name }) {
            lines.append(
                "\(table.name): at most \(table.dead) dead rows beside \(table.live) live ones, "
                    + "\((Self.deadShare(table) * 100).rounded() / 100) times (limit 2)"
            )
        }
        if let finding { lines.append(finding.line) }
        return lines
    }
}
