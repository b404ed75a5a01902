import TestSupport
import Testing

@testable import Postgres

@Suite(.database, .timeLimit(.minutes(10))) struct SessionLockTests {
    private static func key() -> Int { Int.random(in: 1...Int(Int32.max)) }

    @Test("a lock is held by one, refused to others at once, and free after")
    func oneHolder() async throws {
        let (first, key) = (try TestDatabase.pool(), Self.key())
        let second = PostgresPool(try TestDatabase.configuration())
        let result = try await first.withSessionLock(key, -1) { _ in
            let refused = try await second.withSessionLock(key, -1) { _ in true }
            let other = try await second.withSessionLock(key, -2) { _ in true }
            return (refused, other)
        }
        let (refused, other) = try #require(result)
        #expect(refused == nil)
        #expect(other == true)
        // The session ends a moment after its client has let go.
        while try await second.withSessionLock(key, -1, body: { _ in true }) == nil {}
        #expect(first.counts.taken == 0)
        await second.close()
    }

    @Test("what the body throws is passed on, and the lock is free after")
    func throwing() async throws {
        struct Refused: Error {}
        let (pool, key) = (try TestDatabase.pool(), Self.key())
        await #expect(throws: Refused.self) {
            _ = try await pool.withSessionLock(key, 0) { _ in throw Refused() }
        }
        while try await pool.withSessionLock(key, 0, body: { _ in true }) == nil {}
    }

    @Test("a body whose lock's session is lost is cancelled and the loss thrown")
    func loss() async throws {
        let (pool, key) = (try TestDatabase.pool(), Self.key())
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.withSessionLock(key, 7) { _ in
                try await pool.execute(
                    """
                    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
                    WHERE locktype = 'advisory' AND classid::bigint = \(key) AND objid = 7
                    """
                )
                // Ends by cancellation only.
                try await Task.sleep(for: .seconds(3600))
            }
        }
        #expect(error.isConnectionLoss)
    }

    @Test("cancelling the caller ends the body and frees the lock")
    func cancellation() async throws {
        let (pool, key) = (try TestDatabase.pool(), Self.key())
        let (started, start) = AsyncStream<Void>.makeStream()
        let duty = Task {
            try await pool.withSessionLock(key, 1) { _ in
                start.yield()
                try await Task.sleep(for: .seconds(3600))
            }
        }
        for await _ in started { break }
        duty.cancel()
        await #expect(throws: CancellationError.self) { _ = try await duty.value }
        while try await pool.withSessionLock(key, 1, body: { _ in true }) == nil {}
    }

    @Test("a holder that says nothing for too long loses the lock and learns of it before it acts")
    func silence() async throws {
        let (pool, key) = (try TestDatabase.pool(), Self.key())
        let error = try await #require(throws: SessionLockError.self) {
            try await pool.withSessionLock(key, 3, silence: .milliseconds(600)) { lock in
                // Whoever has the session's turn keeps signs of life back, as a process that stands
                // still does.
                try? await lock.connection.rest(for: .seconds(3600))
                await #expect(throws: (any Error).self) { try await lock.confirm() }
            }
        }
        #expect(error.silence >= .milliseconds(600))
        while try await pool.withSessionLock(key, 3, body: { _ in true }) == nil {}
    }

    @Test("a holder that gives signs of life keeps the lock, and finds that it does")
    func signs() async throws {
        let (pool, key) = (try TestDatabase.pool(), Self.key())
        let held = try await pool.withSessionLock(key, 3, silence: .milliseconds(600)) { lock in
            let start = ContinuousClock.now
            while start.duration(to: .now) < .seconds(2) {
                try await lock.confirm()
                let other = try await pool.withSessionLock(key, 3) { _ in true }
                #expect(other == nil)
            }
            return true
        }
        #expect(held == true)
    }
}
