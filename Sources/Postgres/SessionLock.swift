import Synchronization

/// An advisory lock that a session of its own holds, as its holder sees it.
///
/// The server ends the session when it hears nothing of it for too long, so that neither a process that
/// stands still nor a host that is gone keeps the lock.
package final class SessionLock: Sendable {
    /// The first key of a lock that every such session shares, with the second key of its own: by it they
    /// are told from other programs' sessions that hold the same, whatever the connection string calls them.
    package static let badge = 0x6472_6d00

    let connection: PostgresConnection
    private let silence: Duration
    /// When the server was last asked something that it has answered; its patience began no earlier.
    private let lastAsked = Mutex(ContinuousClock.now)

    /// A lock of a session that nothing else is done with, and that may be silent for so long.
    init(_ connection: PostgresConnection, silence: Duration) {
        self.connection = connection
        self.silence = silence
    }

    /// Takes the lock; false when another session holds it.
    func take(_ key1: Int, _ key2: Int) async throws -> Bool {
        note(.now)
        let rows = try await connection.query(
            """
            SELECT set_config('idle_session_timeout', \(String(silence.milliseconds)), false),
                pg_try_advisory_lock_shared(\(Self.badge)::integer, \(key2)::integer),
                pg_try_advisory_lock(\(key1)::integer, \(key2)::integer) AS is_held
            """
        )
        return try rows.first?.decode("is_held") == true
    }

    /// Gives the lock back, where the session is not lost.
    func release() async {
        _ = try? await connection.query("SELECT pg_advisory_unlock_all()")
    }

    /// Keeps the session alive; throws when it is lost or the task cancelled.
    func keep() async throws -> Never {
        while true {
            do {
                try await connection.rest(for: silence / 3)
            } catch let error as DatabaseError {
                throw loss(error)
            }
            try await ask()
        }
    }

    /// Returns when the lock is held: to be called before what only its holder may do.
    ///
    /// The one who keeps the session may not have noticed yet that it is lost, where the whole
    /// process stood still. Throws a `SessionLockError` or a `DatabaseError` when the lock is lost,
    /// and `CancellationError` when the task is cancelled.
    package func confirm() async throws {
        guard age > silence * 2 / 3 else { return }
        try await ask()
    }

    private var age: Duration { lastAsked.withLock { $0.duration(to: .now) } }

    private func note(_ instant: ContinuousClock.Instant) {
        lastAsked.withLock { $0 = max($0, instant) }
    }

    private func ask() async throws {
        let start = ContinuousClock.now
        do {
            try await connection.askForLife()
        } catch let error as DatabaseError {
            throw loss(error)
        }
        note(start)
    }

    /// Why the session is lost: the server's patience is over, or what the error says.
    private func loss(_ error: DatabaseError) -> any Error {
        let age = age
        guard error.isConnectionLoss, age >= silence else { return error }
        return SessionLockError(silence: age)
    }
}

/// A lock that the server gave away, for it had heard nothing of its holder.
package struct SessionLockError: Error, CustomStringConvertible {
    let silence: Duration

    package var description: String {
        """
        nothing was done here for \(silence.components.seconds) s, so the database gave the lock \
        away; it is taken again when it is free
        """
    }
}
