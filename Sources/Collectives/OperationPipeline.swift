/// Runs the operations of a group in order, a few of them at once in different stages.
///
/// Each stage has a thread of its own: while one operation waits for its results, the next one's
/// values are under way already, so that the delay of the network is paid once, not each time.
final class OperationPipeline: Sendable {
    private struct Entry {
        let ticket: Int
        let operation: any GroupOperation
    }

    private struct State {
        /// What each stage has before it.
        var queues: [[Entry]] = [[], [], []]
        var begun = 0
        var completed = 0
        var inFlight = 0
        var isClosing = false
        var busySince = 0.0
        var statistics = LinkStatistics()
    }

    private let health: LinkHealth
    private let lanes: [OperationLane]
    private let state = Monitor(State())
    private let threads = Monitor([LinkThread]())

    /// One a stage.
    private static let laneCount = 3

    init(mesh: GlooMesh, health: LinkHealth) {
        self.health = health
        lanes = (0..<Self.laneCount).map { _ in OperationLane(mesh) }
        threads.change { threads in
            threads = (0..<3).map { stage in
                LinkThread { [self] in run(stage: stage) }
            }
        }
    }

    var statistics: LinkStatistics {
        state.read { state in
            var statistics = state.statistics
            if state.inFlight > 0 {
                statistics.busySeconds += Clock.now - state.busySince
            }
            return statistics
        }
    }

    /// Begins an operation, behind those that were begun before; on a closed pipeline it is over.
    func begin(_ operation: any GroupOperation) -> Int {
        state.change { state in
            guard !state.isClosing else { return -1 }
            defer { state.begun += 1 }
            state.queues[0].append(Entry(ticket: state.begun, operation: operation))
            return state.begun
        }
    }

    /// Waits until an operation is over, or was given up after a failure.
    func wait(_ ticket: Int) {
        let start = Clock.now
        state.wait { state -> Void? in
            guard state.completed > ticket else { return nil }
            state.statistics.waitedSeconds += Clock.now - start
            return ()
        }
    }

    /// Joins the threads; the link has to have ended.
    func stop() {
        state.change { $0.isClosing = true }
        let joined = threads.change { threads in
            defer { threads = [] }
            return threads
        }
        for thread in joined {
            thread.join()
        }
    }

    private func run(stage: Int) {
        while let entry = next(stage) {
            let lane = lanes[entry.ticket % lanes.count]
            if health.failure == nil {
                do {
                    switch stage {
                    case 0: try entry.operation.begin(lane, ticket: entry.ticket)
                    case 1: try entry.operation.combine(lane, ticket: entry.ticket)
                    default: try entry.operation.finish(lane, ticket: entry.ticket)
                    }
                } catch {
                    _ = health.verdict(on: error)
                }
            }
            if stage == 2 {
                lane.forgetMemory()
            }
            pass(entry, from: stage)
        }
    }

    /// The next operation of a stage; nil when there will be none.
    private func next(_ stage: Int) -> Entry? {
        state.wait { state -> Entry?? in
            if let entry = state.queues[stage].first,
                stage > 0 || state.inFlight < lanes.count
            {
                state.queues[stage].removeFirst()
                if stage == 0 {
                    if state.inFlight == 0 {
                        state.busySince = Clock.now
                    }
                    state.inFlight += 1
                }
                return .some(entry)
            }
            return state.isClosing && state.completed == state.begun ? .some(nil) : nil
        }
    }

    private func pass(_ entry: Entry, from stage: Int) {
        state.change { state in
            guard stage == 2 else {
                state.queues[stage + 1].append(entry)
                return
            }
            state.completed += 1
            state.inFlight -= 1
            state.statistics.reductions += 1
            if state.inFlight == 0 {
                state.statistics.busySeconds += Clock.now - state.busySince
            }
        }
    }
}
