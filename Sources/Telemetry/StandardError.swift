import Glibc
import Synchronization

/// Standard error, as a place for lines.
package enum StandardError {
    /// Keeps a line that takes several writes together.
    private static let turn = Mutex(())

    /// Writes a line with its end; one that nobody takes is lost, and nothing waits for it to be read but
    /// the one who writes.
    package static func write(_ line: String) {
        turn.withLock { _ in
            var rest = line.utf8[...]
            while !rest.isEmpty {
                let count =
                    rest.withContiguousStorageIfAvailable {
                        Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count)
                    } ?? -1
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
}
