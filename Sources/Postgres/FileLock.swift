import Glibc
import Synchronization

/// A lock on a file, free again when its process ends, however it ends.
final class FileLock: Sendable {
    private let descriptor: Mutex<Int32>

    /// Takes the lock alone, blocking for at most the patience.
    init(path: String, patience: Duration) throws(PostgresClusterError) {
        let file = try Self.open(path)
        let deadline = ContinuousClock.now.advanced(by: patience)
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            guard ContinuousClock.now < deadline else {
                close(file)
                throw .unusable(path: path, reason: "another process is starting this database")
            }
            usleep(50_000)
        }
        descriptor = Mutex(file)
    }

    /// Takes the lock together with others.
    init(sharing path: String) throws(PostgresClusterError) {
        let file = try Self.open(path)
        guard flock(file, LOCK_SH | LOCK_NB) == 0 else {
            close(file)
            throw .unusable(path: path, reason: "another process is stopping this database")
        }
        descriptor = Mutex(file)
    }

    deinit { release() }

    /// Makes a shared lock exclusive; false when somebody else shares it, or it was released.
    ///
    /// Tries for half a second: the lock of a process that was killed outlasts it by a moment.
    func upgradeToExclusive() -> Bool {
        descriptor.withLock { file in
            guard file >= 0 else { return false }
            for _ in 0..<25 {
                if flock(file, LOCK_EX | LOCK_NB) == 0 { return true }
                usleep(20_000)
            }
            return false
        }
    }

    /// Gives the lock back.
    func release() {
        descriptor.withLock { file in
            if file >= 0 { close(file) }
            file = -1
        }
    }

    private static func open(_ path: String) throws(PostgresClusterError) -> Int32 {
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else {
            throw .unusable(path: path, reason: String(cString: strerror(errno)))
        }
        return file
    }
}
