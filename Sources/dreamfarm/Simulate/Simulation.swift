import FarmClient
import FarmModel
import FoundationEssentials

/// A run of simulated workers over the jobs of several owners.
struct Simulation {
    let settings: SimulateCommand
    let farm: SimulatedFarm

    /// Submits the jobs, lets the workers render them, and measures on the way.
    func run() async throws -> SimulationReport {
        let admin = try farm.client()
        let fleet = SimulatedFleet(
            client: try farm.fleetClient(),
            folder: farm.folder,
            imageSeconds: settings.imageTime.duration / .seconds(1),
            crashes: settings.crashes,
            failures: settings.failures,
            seed: settings.seed
        )
        var report = SimulationReport(images: settings.images)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<settings.workers {
                group.addTask { try await fleet.work(number) }
            }
            let jobs = try await submit(admin)
            let begin = ContinuousClock.now
            report.submitted = jobs.count
            StandardError.write("\(settings.workers) workers, \(jobs.count) jobs\n")
            while true {
                let views = try await jobs.asyncMap { try await admin.job($0.description) }
                let over = views.reduce(0) { $0 + $1.images.delivered + $1.images.failed }
                let seconds = (ContinuousClock.now - begin) / .seconds(1)
                report.note(over: over, seconds: seconds, residentBytes: farm.residentBytes)
                report.note(try await admin.farm().tables)
                show(report)
                if views.allSatisfy(\.state.isFinal) {
                    report.delivered = views.reduce(0) { $0 + $1.images.delivered }
                    break
                }
                try await Task.sleep(for: .seconds(2))
            }
            group.cancelAll()
            while let ended = await group.nextResult() {
                if case .failure(let error) = ended, !(error is CancellationError) { throw error }
            }
        }
        return report
    }

    /// A token for each owner, and its jobs; what they require differs.
    private func submit(_ admin: CoordinatorClient) async throws -> [JobID] {
        while try await admin.models().all().isEmpty {
            try await Task.sleep(for: .milliseconds(200))
        }
        let requirements = [
            "{}", "{pool: even}", "{pool: odd}", "{tags: [tag-1]}", "{memory: 8GiB}",
        ]
        let count = settings.owners * settings.jobs
        var ids: [JobID] = []
        for number in 0..<count {
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
            ids.append(try await farm.client(token: token).submit(specification, key: nil).id)
        }
        return ids
    }

    private func show(_ report: SimulationReport) {
        StandardError.write("\(StandardError.isTerminal ? "\r\u{1b}[K" : "")\(report.progress)")
        if !StandardError.isTerminal { StandardError.write("\n") }
    }
}

/// What a simulation measured.
struct SimulationReport {
    let images: Int
    var submitted = 0
    var delivered = 0
    var isClean = false
    private var over = 0
    private var seconds = 0.0
    private var residentBytes: Int64 = 0
    /// What the coordinator held when a tenth of the images was over.
    private var residentBytesAtTenth: Int64?
    /// Of each hot table, the rows when it was fullest of dead ones.
    private var fullest: [String: TableView] = [:]

    /// So few dead rows, some pages of them, are none to speak of.
    private static let fewDeadRows = 1000

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
        isClean && delivered == images && growth <= 1.2
            && fullest.values.allSatisfy { Self.deadShare($0) <= 2 }
    }

    var lines: [String] {
        [
            "images: \(delivered) of \(images) delivered in \(Int(seconds)) s",
            "coordinator: \(ByteCount.text(residentBytesAtTenth ?? 0)) at a tenth, "
                + "\(ByteCount.text(residentBytes)) at the end, "
                + "\((growth * 100).rounded() / 100) times (limit 1.2)",
        ]
            + fullest.values.sorted { $0.name < $1.name }.map { table in
                "\(table.name): at most \(table.dead) dead rows beside \(table.live) live ones, "
                    + "\((Self.deadShare(table) * 100).rounded() / 100) times (limit 2)"
            }
    }
}

extension Array {
    /// The elements' images under an asynchronous function, one after the other.
    fileprivate func asyncMap<Mapped>(
        _ transform: (Element) async throws -> Mapped
    ) async rethrows -> [Mapped] {
        var mapped: [Mapped] = []
        mapped.reserveCapacity(count)
        for element in self { mapped.append(try await transform(element)) }
        return mapped
    }
}
