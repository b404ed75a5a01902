import Synchronization

/// Spans that wait to be exported: so many and no more, since the farm waits for no collector.
final class SpanQueue: Sendable {
    private struct State {
        var spans: [FinishedSpan] = []
        var exported = 0
        var dropped = 0
    }

    private let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// How many spans a collector has taken, and how many were lost.
    var counts: (exported: Int, dropped: Int) { state.withLock { ($0.exported, $0.dropped) } }

    /// Lays a span out; where there is no room it is lost.
    func put(_ span: FinishedSpan) {
        state.withLock { state in
            if state.spans.count < capacity {
                state.spans.append(span)
            } else {
                state.dropped += 1
            }
        }
    }

    /// Takes the oldest spans, at most so many.
    func take(_ count: Int) -> [FinishedSpan] {
        state.withLock { state in
            let taken = Array(state.spans.prefix(count))
            state.spans.removeFirst(taken.count)
            return taken
        }
    }

    /// Puts spans back that were taken and not sent; those for which there is no room are lost.
    func putBack(_ spans: [FinishedSpan]) {
        state.withLock { state in
            let kept = spans.suffix(max(0, capacity - state.spans.count))
            state.dropped += spans.count - kept.count
            state.spans.insert(contentsOf: kept, at: 0)
        }
    }

    func note(exported: Int = 0, dropped: Int = 0) {
        state.withLock { state in
            state.exported += exported
            state.dropped += dropped
        }
    }
}
