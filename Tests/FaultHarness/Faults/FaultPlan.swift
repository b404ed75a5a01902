/// What can be done to a farm.
enum FaultKind: String, CaseIterable, Sendable, Codable {
    case killWorker = "kill-worker"
    case killCoordinator = "kill-coordinator"
    case killDatabase = "kill-database"
    case stopWorker = "stop-worker"
    case stopCoordinator = "stop-coordinator"
    case stopDatabase = "stop-database"
    case restartDatabase = "restart-database"
    case databaseOutage = "database-outage"
    case droppedConnections = "dropped-connections"
    case slowConnections = "slow-connections"
    case brokenConnections = "broken-connections"
    case lostAnswers = "lost-answers"
    case doubledRequests = "doubled-requests"
    case fullDisk = "full-disk"
    case clockJump = "clock-jump"
    case lyingWorker = "lying-worker"

    /// Whether it is done to PostgreSQL, so that another such one has to wait.
    var isOfDatabase: Bool {
        switch self {
        case .killDatabase, .stopDatabase, .restartDatabase, .databaseOutage: true
        default: false
        }
    }
}

/// One fault of a run, all of it drawn from the run's seed.
struct PlannedFault: Sendable {
    let number: Int
    let kind: FaultKind
    /// How long to wait before it, in seconds.
    let gap: Double
    /// How long it lasts, in seconds, where it lasts.
    let length: Double
    /// Draws which part it hits, and how.
    let choice: UInt64
    /// Whether the next one begins while this one lasts.
    let overlapsNext: Bool

    var line: String {
        "\(number). \(kind.rawValue), after \(gap.tenths) s, for \(length.tenths) s, choice \(choice % 10_000)"
            + (overlapsNext ? ", together with the next" : "")
    }

    /// One of so many.
    func pick(_ count: Int, _ shift: UInt64 = 0) -> Int {
        count == 0 ? 0 : Int((choice >> (shift * 8)) % UInt64(count))
    }
}

/// The faults of a run.
///
/// The kinds are dealt like cards, so that of any sixteen faults, over runs of successive seeds, each is of another kind.
struct FaultPlan: Sendable {
    let seed: UInt64
    let faults: [PlannedFault]

    init(seed: UInt64, count: Int, kinds: [FaultKind], lease: Duration) {
        self.seed = seed
        var generator = SeededGenerator(seed: seed)
        let least = lease / .seconds(1)
        var faults: [PlannedFault] = []
        for number in 0..<count {
            let place = (seed &- 1) &* UInt64(count) &+ UInt64(number)
            var dealer = SeededGenerator(seed: place / UInt64(kinds.count) &+ 0xdea1)
            let dealt = kinds.shuffled(using: &dealer)
            let kind = dealt[Int(place % UInt64(kinds.count))]
            // Half of what lasts outlasts a lease.
            let isLong = Bool.random(using: &generator)
            let length =
                isLong
                ? Double.random(in: least + 0.5...least + 2.5, using: &generator)
                : Double.random(in: 0.3...least * 0.7, using: &generator)
            faults.append(
                PlannedFault(
                    number: number + 1,
                    kind: kind,
                    gap: Double.random(in: 0...0.8, using: &generator),
                    length: length,
                    choice: generator.next(),
                    overlapsNext: number + 1 < count
                        && UInt8.random(in: 0..<10, using: &generator) < 3
                )
            )
        }
        self.faults = faults
    }

    var lines: [String] { faults.map(\.line) }
}

/// Random numbers that follow from a seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

extension Double {
    /// To two places behind the point.
    var hundredths: Double { (self * 100).rounded() / 100 }

    /// To one place behind the point.
    var tenths: Double { (self * 10).rounded() / 10 }
}

extension Duration {
    var inSeconds: Double { self / .seconds(1) }
}
