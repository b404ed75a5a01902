import CLinux
import Glibc
import Synchronization

/// Wakes the thread that waits for a statement's answer when the statement's task is cancelled.
///
/// Statements are numbered, so that a signal that comes late cannot reach the next statement.
final class CancellationSignal: Sendable {
    /// An eventfd, readable once a cancellation was signalled.
    let descriptor: Int32

    private let cancelled = Atomic<UInt64>(0)

    init() throws {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else {
            throw DatabaseError(
                sqlState: nil,
                message: "no file descriptor is free for a connection (raise `ulimit -n`)"
            )
        }
    }

    deinit {
        close(descriptor)
    }

    /// Signals that the statement of this number is to be cancelled.
    func cancel(_ statement: UInt64) {
        cancelled.store(statement, ordering: .releasing)
        eventfd_write(descriptor, 1)
    }

    /// Tells whether the statement is to be cancelled, and takes the wake-up away.
    func takeCancellation(of statement: UInt64) -> Bool {
        var count: eventfd_t = 0
        eventfd_read(descriptor, &count)
        return cancelled.load(ordering: .acquiring) == statement
    }
}
