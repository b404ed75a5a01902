@testable import Postgres
import Testing

@Suite struct PoolStateTests {
    private static let away = DatabaseError(sqlState: nil, message: "away", isTransient: true)

    private func delay(_ grant: PoolState.Grant?) -> Duration? {
        guard case .open(let delay, _)? = grant else { return nil }
        return delay
    }

    @Test("no more places are given than there are")
    func limit() {
        var state = PoolState(limit: 2)
        let grants = (0..<3).map { _ in delay(state.grant(.now)) }
        #expect(grants == [.zero, .zero, nil])
        let resumed = state.freePlace(wasTrying: false, .now)
        #expect(resumed.isEmpty)
        let next = delay(state.grant(.now))
        #expect(next == .zero)
    }

    @Test("while the server is away one caller tries, and pauses grow up to a second")
    func outage() {
        var state = PoolState(limit: 4)
        let now = ContinuousClock.now
        _ = state.grant(now)
        _ = state.grant(now)
        // Of two who were opening at the same time, the second goes to the line.
        let pauses = (0..<2).map { _ in state.failed(Self.away, isRetry: false, now) }
        #expect(pauses[0].map { $0 >= .milliseconds(50) && $0 <= .milliseconds(100) } == true)
        #expect(pauses[1] == nil)
        #expect(state.taken == 1)
        let refused = delay(state.grant(now))
        #expect(refused == nil)
        let later = (0..<20).compactMap { _ in state.failed(Self.away, isRetry: true, now) }
        #expect(later.count == 20)
        #expect(later.allSatisfy { $0 <= .seconds(1) })
        #expect(later.suffix(10).allSatisfy { $0 >= .milliseconds(500) })
    }

    @Test("who gives up leaves the outage, its pause with it, to the next")
    func handover() {
        var state = PoolState(limit: 4)
        let now = ContinuousClock.now
        _ = state.grant(now)
        let pause = state.failed(Self.away, isRetry: false, now)
        let resumed = state.freePlace(wasTrying: true, now)
        #expect(resumed.isEmpty)
        let grants = (0..<2).map { _ in delay(state.grant(now)) }
        #expect(grants == [pause, nil])
        #expect(pause != nil)
        _ = state.freePlace(wasTrying: true, now)
        // Long after the pause is over, it is still the one try.
        let later = state.grant(now.advanced(by: .seconds(60)))
        guard case .open(after: .zero, isRetry: true)? = later else {
            Issue.record("no retry but \(String(describing: later))")
            return
        }
        let admitted = state.opened(now)
        #expect(admitted.isEmpty)
        let after = delay(state.grant(now))
        #expect(after == .zero)
    }
}
