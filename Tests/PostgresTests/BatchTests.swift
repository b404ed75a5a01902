import Foundation
@testable import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct BatchTests {
    @Test("a batch gives each statement's result in order")
    func results() async throws {
        let pool = try TestDatabase.pool()
        for _ in 0..<2 {
            let results = try await pool.batch([
                "CREATE TABLE a (n int)", "INSERT INTO a VALUES (\(1)), (\(2))",
                "SELECT n FROM a ORDER BY n", "INSERT INTO a VALUES (\(3)), (\(4))",
                "SELECT count(*) AS n FROM a", "DROP TABLE a",
            ])
            #expect(results.map(\.affectedRows) == [0, 2, 2, 2, 1, 0])
            #expect(try results[2].rows.map { try $0.decode("n", as: Int.self) } == [1, 2])
            #expect(try results[4].rows.first?.decode("n") == 4)
        }
        #expect(try await pool.batch([]).isEmpty)
    }

    @Test("an error in one statement of a batch undoes all, and is that one's")
    func error() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int PRIMARY KEY)")
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.batch([
                "INSERT INTO a VALUES (\(1))", "INSERT INTO a SELECT \(1)::integer",
                "INSERT INTO a VALUES (\(3))",
            ])
        }
        #expect(error.sqlState == DatabaseError.State.uniqueViolation)
        #expect(error.sql == "INSERT INTO a SELECT $1::integer")
        #expect(error.constraint == "a_pkey")
        #expect(try await pool.query("SELECT n FROM a").isEmpty)
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        // What was skipped was not prepared either.
        try await pool.execute("INSERT INTO a VALUES (\(3))")
        #expect(try await pool.query("SELECT n FROM a").count == 1)
    }

    @Test("a batch inside of a transaction is a part of it")
    func inTransaction() async throws {
        struct Refused: Error {}
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int)")
        let insert: Query = "INSERT INTO a VALUES (\(1))"
        await #expect(throws: Refused.self) {
            try await pool.withTransaction { connection in
                try await connection.batch([insert, insert])
                throw Refused()
            }
        }
        #expect(try await pool.query("SELECT n FROM a").isEmpty)
        try await pool.withTransaction { _ = try await $0.batch([insert, insert]) }
        #expect(try await pool.query("SELECT n FROM a").count == 2)
    }

    @Test("a batch larger than the buffers of both sides goes through")
    func large() async throws {
        let text = String(repeating: "x", count: 200_000)
        let queries = (0..<100).map { n -> Query in "SELECT \(text)::text || \(n)::integer AS t" }
        let results = try await TestDatabase.pool().batch(queries)
        let counts = try results.map { result in
            try result.rows.first?.decode("t", as: String.self).utf8.count
        }
        #expect(counts == (0..<100).map { 200_000 + ($0 < 10 ? 1 : 2) })
    }

    @Test("statements of several tasks on one connection take turns")
    func turns() async throws {
        try await TestDatabase.pool().withConnection { connection in
            let sums = try await withThrowingTaskGroup { group in
                for n in 0..<50 {
                    group.addTask {
                        let results = try await connection.batch([
                            "SELECT \(n)::integer AS n", "SELECT \(-n)::integer AS n",
                        ])
                        return try results.reduce(0) {
                            try $0 + ($1.rows.first?.decode("n") ?? 0)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(sums == Array(repeating: 0, count: 50))
        }
    }

    /// The ways in which a statement can be on its way when it is cancelled.
    enum Way: CaseIterable {
        case plain, prepared, batch, firstOfTransaction, laterInTransaction, script
    }

    @Test("cancellation reaches the server however the statement was sent", arguments: Way.allCases)
    func cancellation(_ way: Way) async throws {
        let pool = try TestDatabase.pool()
        let observer = PostgresPool(try TestDatabase.configuration())
        let mark = "cancel-\(Int.random(in: 0...Int.max))"
        @Sendable func sleep(_ seconds: Double) -> Query {
            "SELECT pg_sleep(\(seconds)) /* \(raw: mark) */"
        }
        try await pool.execute(sleep(0))
        let sleeper = Task {
            switch way {
            case .plain: try await pool.execute("SELECT pg_sleep(600) /* \(raw: mark) */")
            case .prepared: try await pool.execute(sleep(600))
            case .batch: try await pool.batch(["SELECT \(1)::integer", sleep(600), sleep(600)])
            case .firstOfTransaction:
                try await pool.withTransaction { _ = try await $0.execute(sleep(600)) }
            case .laterInTransaction:
                try await pool.withTransaction { connection in
                    try await connection.execute("SELECT 1")
                    try await connection.execute(sleep(600))
                }
            case .script:
                try await pool.withConnection {
                    try await $0.execute(script: "SELECT pg_sleep(600) /* \(mark) */; SELECT 1;")
                }
            }
        }
        func running() async throws -> Int {
            let pattern = "SELECT pg_sleep%\(mark)%"
            return try await observer.query(
                """
                SELECT count(*) AS n FROM pg_stat_activity
                WHERE state = 'active' AND wait_event = 'PgSleep' AND query LIKE \(pattern)
                """
            ).first?.decode("n") ?? 0
        }
        while try await running() == 0 { await Task.yield() }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { _ = try await sleeper.value }
        #expect(try await running() == 0)
        // The same connection goes on, outside of any transaction.
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        #expect(try await pool.query("SELECT \(2)::integer AS two").first?.decode("two") == 2)
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        await observer.close()
    }
}
