import Postgres
import Synchronization

/// Whether the database answers, as the duties find it: its absence is told once, and its return,
/// whoever notices them.
///
/// Work that began before the database was back may end in an error of the outage that is over;
/// that begins no other. Nor does an answer that was on its way end one, or that of a server process
/// that has outlived the server for a moment: what ends it was asked when no error had come for a while.
package final class DatabaseOutage: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// What an error is against the outage.
    enum Finding: Hashable {
        /// It is none of an outage.
        case unrelated
        /// The outage begins with it.
        case begins
        /// The outage is known.
        case known
    }

    private enum State {
        /// It answers, since then where it was away before.
        case present(since: Instant?)
        /// It is away; the last error came then.
        case away(last: Instant)
    }

    /// How long no error may have come before an answer is believed.
    static let calm = Duration.seconds(1)

    private let state = Mutex(State.present(since: nil))

    package init() {}

    /// Notes the error of work that last had an answer, or began, at `start`.
    func finding(of error: any Error, since start: Instant, at now: Instant = .now) -> Finding {
        guard let error = error as? DatabaseError, error.isUnavailable else { return .unrelated }
        return state.withLock { state in
            switch state {
            case .present(let since?) where start < since: return .known
            case .present:
                state = .away(last: now)
                return .begins
            case .away:
                state = .away(last: now)
                return .known
            }
        }
    }

    /// Notes that work that began at `start` was answered; true when the outage ends with it.
    func isEnded(byAnswerTo start: Instant, at now: Instant = .now) -> Bool {
        state.withLock { state in
            guard case .away(let last) = state, start > last + Self.calm else { return false }
            state = .present(since: now)
            return true
        }
    }
}
