import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct EventTests {
    @Test("a reader that reconnects misses no event of two delayed transactions")
    func commitOrder() async throws {
        let farm = try await PlantedFarm()
        let job = try await farm.job()
        let other = PostgresPool(try TestDatabase.configuration())
        let store = FarmStore(pool: other)
        var seen: [Int64] = []
        func read() async throws {
            seen += try await store.events(of: job, after: seen.last ?? 0, limit: 100)
                .map(\.number)
        }
        // The first transaction takes its number and stays open, the second comes after it.
        let first = try await farm.pool.withConnection { connection in
            try await connection.execute("BEGIN")
            try await connection.execute(
                """
                WITH numbered AS (
                    UPDATE job SET event_count = event_count + 1 WHERE id = \(job)
                    RETURNING event_count
                )
                INSERT INTO event (job_id, number, kind)
                SELECT \(job), event_count, 'image.delivered' FROM numbered
                """
            )
            async let second = store.pauseJob(job, by: "root")
            try await farm.waitUntilBlocking(connection)
            try await read()
            let before = seen
            try await connection.execute("COMMIT")
            guard case .done = try await second else { throw Unexpected() }
            return before
        }
        try await read()
        #expect(first == [1])
        #expect(seen == [1, 2, 3])
        #expect(
            try await store.events(of: job, limit: 10).map(\.kind)
                == ["job.created", "image.delivered", "job.paused"]
        )
        #expect(try await store.events(of: job, after: 1, limit: 1).map(\.number) == [2])
        #expect(try await store.latestEvent(of: job) == 3)
        #expect(try await store.latestEvent(of: JobID.random()) == nil)
        await other.close()
    }

    struct Unexpected: Error {}
}
