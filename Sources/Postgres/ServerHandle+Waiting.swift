import CLibPQ
import Glibc

extension ServerHandle {
    /// What is kept over the waits of one round trip.
    struct Wait {
        /// How often a cancel request is repeated until the server answers: the server forgets a
        /// request that overtakes its statement.
        fileprivate static let cancelRepeat: Duration = .milliseconds(100)

        /// What the client waits beyond the server's own statement time-out before it gives up on a
        /// server that does not answer at all.
        static let answerGrace: Duration = .seconds(15)

        let patience: Duration?
        var deadline: ContinuousClock.Instant?
        var isCancelled = false

        init(_ patience: Duration?) {
            self.patience = patience
            extend()
        }

        /// Each answer gives the next one its full time.
        mutating func extend() {
            deadline = patience.map { .now.advanced(by: $0) }
        }
    }

    /// Sends what libpq still holds.
    func flush(_ wait: inout Wait) async throws {
        while true {
            switch PQflush(connection) {
            case 0: return
            case 1:
                await pause(&wait, forWriting: true)
                PQconsumeInput(connection)
            default: throw connectionError()
            }
        }
    }

    /// Waits for the next result; nil at the end of a statement's.
    func nextResult(_ wait: inout Wait) async throws -> OpaquePointer? {
        var hasWaited = false
        while PQisBusy(connection) == 1 {
            await pause(&wait, forWriting: false)
            hasWaited = true
            guard PQconsumeInput(connection) == 1 else {
                // The server's reason may have come before the end of the connection.
                guard PQisBusy(connection) == 0 else { throw connectionError() }
                break
            }
        }
        if hasWaited { wait.extend() }
        return PQgetResult(connection)
    }

    /// Waits for the socket; sends a cancel request when asked to, and ends a silent connection.
    private func pause(_ wait: inout Wait, forWriting: Bool) async {
        guard isSocketOpen else { return }
        var until = wait.deadline
        if wait.isCancelled {
            let again = ContinuousClock.now.advanced(by: Wait.cancelRepeat)
            until = min(until ?? again, again)
        }
        switch await watch.wait(forWriting: forWriting, until: until) {
        case .ready: return
        case .interrupted: wait.isCancelled = true
        case .timedOut: break
        }
        if let deadline = wait.deadline, deadline <= .now {
            shutdown(PQsocket(connection), Int32(SHUT_RDWR))
        } else if wait.isCancelled {
            // It is waited for, so that a late request cannot hit the next statement.
            let request = cancelRequest
            try? await offPool { request.send() }
        }
    }
}
