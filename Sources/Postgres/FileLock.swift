import Glibc
import Synchronization

/// A lock on a file, free again when its process ends, however it ends.
final class FileLock: Sendable {
    private let descriptor: Mutex<Int32>

    /// Takes the lock alone, blocking for at most the patience.
    init(path: String, patience: Duration) throws(PostgresClusterError) {
        descriptor = Mutex(
            try Self.take(LOCK_EX, path, patience, "another process is starting this database")
        )
    }

    /// Takes the lock together with others, blocking for at most the patience.
    init(sharing path: String, patience: Duration) throws(PostgresClusterError) {
        descriptor = Mutex(
            try Self.take(LOCK_SH, path, patience, "another process is stopping this database")
        )
    }

    private static func take(
        _ kind: Int32,
        _ path: String,
        _ patience: Duration,
        _ reason: String
    ) throws(PostgresClusterError) -> Int32 {
        let file = try open(path)
        let deadline = ContinuousClock.now.advanced(by: patience)
        while flock(file, kind | LOCK_NB) != 0 {
            guard ContinuousClock.now < deadline else {
                close(file)
                throw .unusable(path: path, reason: reason)
            }
            usleep(50_000)
        }
        return file
    }

    deinit { release() }

    /// Makes a shared lock exclusive; false when somebody else shares it, or it was released.
    ///
    /// Tries for two seconds: the lock of a process that was killed outlasts it by a moment, and a
    /// child that is being started holds a copy until it runs its program.
    func upgradeToExclusive() -> Bool {
        descriptor.withLock { file in
            guard file >= 0 else { return false }
            for _ in 0..<100 {
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
