import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct SessionLockTests {
    private static func key() -> Int { Int.random(in: 1...Int(Int32.max)) }

    @Test("a lock is held by one, refused to others at once, and free after")
    func oneHolder() async throws {
        let (first, key) = (try TestDatabase.pool(), Self.key())
        let second = PostgresPool(try TestDatabase.configuration())
        let result = try await first.withSessionLock(key, -1) {
            let refused = try await second.withSessionLock(key, -1) { true }
            let other = try await second.withSessionLock(key, -2) { true }
            return (refused, other)
        }
        let (refused, other) = try #require(result)
        #expect(refused == nil)
        #expect(other == true)
        // The session ends a moment after its client has let go.
        while try await second.withSessionLock(key, -1, body: { true }) == nil {}
        #expect(first.counts.taken == 0)
        await second.close()
    }

    @Test("what the body throws is passed on, and the lock is free after")
    func throwing() async throws {
        struct Refused: Error {}
        let (pool, key) = (try TestDatabase.pool(), Self.key())
        await #expect(throws: Refused.self) {
            _ = try await pool.withSessionLock(key, 0) { throw Refused() }
        }
        while try await pool.withSessionLock(key, 0, body: { true }) == nil {}
    }

    @Test("a body whose lock's session is lost is cancelled and the loss thrown")
    func loss() async throws {
        let (pool, key) = (try TestDatabase.pool(), Self.key())
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.withSessionLock(key, 7) {
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
            try await pool.withSessionLock(key, 1) {
                start.yield()
                try await Task.sleep(for: .seconds(3600))
            }
        }
        for await _ in started { break }
        duty.cancel()
        await #expect(throws: CancellationError.self) { _ = try await duty.value }
        while try await pool.withSessionLock(key, 1, body: { true }) == nil {}
    }
}
