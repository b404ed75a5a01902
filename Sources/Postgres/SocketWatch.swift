import CLinux
import Synchronization

/// What a connection waits on: its socket, the time, and the cancellation of its statement.
///
/// Statements are numbered, so that a cancellation that comes late cannot reach the next one.
final class SocketWatch: Sendable {
    /// Why a wait ended.
    enum Wake: Sendable {
        /// The socket has something to read, or room to write, or is closed.
        case ready
        /// The statement is to be cancelled.
        case interrupted
        /// The deadline has passed.
        case timedOut
    }

    private struct State {
        var waiter: CheckedContinuation<Wake, Never>?
        var deadline: ContinuousClock.Instant?
        var statement: UInt64 = 0
        var isInterrupted = false
        /// The events asked of the kernel; 0 while the socket is not registered.
        var interest: UInt32 = 0
    }

    let number: UInt64
    let descriptor: Int32
    private let loop: EventLoop
    private let state = Mutex(State())

    init(_ loop: EventLoop, number: UInt64, descriptor: Int32) {
        self.loop = loop
        self.number = number
        self.descriptor = descriptor
    }

    /// Starts the next statement and returns its number, which `interrupt` takes.
    func beginStatement() -> UInt64 {
        state.withLock { state in
            state.statement += 1
            state.isInterrupted = false
            return state.statement
        }
    }

    /// Ends the wait of the statement of this number, or its next wait, by `interrupted`.
    func interrupt(_ statement: UInt64) {
        let waiter = state.withLock { state -> CheckedContinuation<Wake, Never>? in
            guard state.statement == statement else { return nil }
            guard let waiter = state.waiter.take() else {
                state.isInterrupted = true
                return nil
            }
            return waiter
        }
        waiter?.resume(returning: .interrupted)
    }

    /// Waits on the loop until the socket can be read, or written where that is asked for.
    func wait(forWriting: Bool, until deadline: ContinuousClock.Instant?) async -> Wake {
        if let deadline { loop.look(by: deadline) }
        let wanted = EPOLLIN.rawValue | (forWriting ? EPOLLOUT.rawValue : 0)
        return await withCheckedContinuation { waiter in
            let isInterrupted = state.withLock { state in
                guard !state.isInterrupted else {
                    state.isInterrupted = false
                    return true
                }
                state.waiter = waiter
                state.deadline = deadline
                if state.interest != wanted {
                    let operation = state.interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD
                    _ = loop.control(operation, descriptor, number, wanted)
                    state.interest = wanted
                }
                return false
            }
            if isInterrupted { waiter.resume(returning: .interrupted) }
        }
    }

    /// Takes an event of the socket; without a wait for it, no more are wanted until the next wait.
    func report() {
        let waiter = state.withLock { state -> CheckedContinuation<Wake, Never>? in
            if let waiter = state.waiter.take() { return waiter }
            if state.interest != 0 {
                _ = loop.control(EPOLL_CTL_DEL, descriptor, number, 0)
                state.interest = 0
            }
            return nil
        }
        waiter?.resume(returning: .ready)
    }

    /// Ends a wait whose deadline has passed; returns the deadline of one that goes on.
    func expire(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        var remaining: ContinuousClock.Instant?
        let waiter = state.withLock { state -> CheckedContinuation<Wake, Never>? in
            guard state.waiter != nil, let deadline = state.deadline else { return nil }
            guard deadline <= now else {
                remaining = deadline
                return nil
            }
            return state.waiter.take()
        }
        waiter?.resume(returning: .timedOut)
        return remaining
    }
}
