import Foundation
@testable import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct PostgresPoolTests {
    @Test("session settings are in place from the first statement")
    func sessionSettings() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.statementTimeout = .milliseconds(12_345)
        configuration.idleInTransactionTimeout = .milliseconds(23_456)
        configuration.searchPath = "weird \"schema"
        let pool = PostgresPool(configuration)
        let row = try #require(
            try await pool.query(
                """
                SELECT current_setting('statement_timeout') AS statement,
                    current_setting('idle_in_transaction_session_timeout') AS idle,
                    current_setting('search_path') AS path, current_setting('TimeZone') AS zone
                """
            ).first
        )
        #expect(try row.decode("statement") == "12345ms")
        #expect(try row.decode("idle") == "23456ms")
        #expect(try row.decode("path") == "\"weird \"\"schema\"")
        #expect(try row.decode("zone") == "UTC")
        await pool.close()
    }

    @Test("cancelling a task cancels its statement on the server")
    func cancellation() async throws {
        let pool = try TestDatabase.pool()
        let observer = PostgresPool(try TestDatabase.configuration())
        let mark = "cancellation-\(Int.random(in: 0...Int.max))"
        let sleeper = Task {
            try await pool.query("SELECT pg_sleep(600) /* \(raw: mark) */")
        }
        func running() async throws -> Int {
            let pattern = "SELECT pg_sleep(600) /* \(mark)%"
            return try await observer.query(
                """
                SELECT count(*) AS n FROM pg_stat_activity
                WHERE state = 'active' AND query LIKE \(pattern)
                """
            ).first?.decode("n") ?? 0
        }
        while try await running() == 0 { await Task.yield() }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(try await running() == 0)
        // The same connection goes on.
        #expect(try await pool.query("SELECT 2 AS two").first?.decode("two") == 2)
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        await observer.close()
    }

    @Test("a statement past its time-out is an error, not a cancellation")
    func statementTimeout() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.statementTimeout = .milliseconds(20)
        let pool = PostgresPool(configuration)
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.query("SELECT pg_sleep(600)")
        }
        #expect(error.sqlState == DatabaseError.State.queryCanceled)
        await pool.close()
    }

    @Test("a use keeps its connection, and others leave it alone while there is another")
    func uses() async throws {
        let pool = try TestDatabase.pool()
        @Sendable func session(for use: String?) async throws -> Int {
            try await pool.withConnection(for: use) { connection in
                let rows = try await connection.query("SELECT pg_backend_pid() AS id")
                return try #require(rows.first).decode("id", as: Int.self)
            }
        }
        // Three connections at once.
        let first = try await pool.withConnection { _ in
            try await pool.withConnection(for: "b") { _ in try await session(for: "a") }
        }
        for _ in 0..<3 {
            let (a, b, none) = (
                try await session(for: "a"), try await session(for: "b"),
                try await session(for: nil)
            )
            #expect(a == first)
            #expect(Set([a, b, none]).count == 3)
        }
        #expect(pool.counts == PostgresPool.Counts(idle: 3, taken: 0, waiting: 0))
        await pool.close()
    }

    @Test("a session without a time-out has it back before others get it, or ends")
    func timeoutRestored() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.statementTimeout = .milliseconds(12_345)
        let pool = PostgresPool(configuration)
        let timeout: Query = "SELECT current_setting('statement_timeout') AS value"
        let within = try await pool.withoutStatementTimeout { try await $0.query(timeout) }
        #expect(try within.first?.decode("value") == "0")
        #expect(try await pool.query(timeout).first?.decode("value") == "12345ms")
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        await #expect(throws: DatabaseError.self) {
            try await pool.withoutStatementTimeout { try await $0.execute("SELECT 1 / 0") }
        }
        #expect(pool.counts == PostgresPool.Counts(idle: 0, taken: 0, waiting: 0))
        await pool.close()
    }

    @Test("a pool opens no more connections than its limit, and callers wait in line")
    func limit() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.maxConnections = 3
        let pool = PostgresPool(configuration)
        let backends = try await withThrowingTaskGroup { group in
            for _ in 0..<40 {
                group.addTask {
                    let rows = try await pool.query("SELECT pg_backend_pid() AS id")
                    return try #require(rows.first).decode("id", as: Int.self)
                }
            }
            return try await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(backends.count == 40)
        #expect(Set(backends).count <= 3)
        #expect(pool.counts.taken == 0)
        #expect(pool.counts.idle <= 3)
        await pool.close()
    }

    @Test("statements that wait take no thread that others need")
    func waitingStatements() async throws {
        var configuration = try TestDatabase.configuration()
        let waiters = ProcessInfo.processInfo.activeProcessorCount + 4
        configuration.maxConnections = waiters + 1
        let pool = PostgresPool(configuration)
        let lock = Int.random(in: 1...Int.max)
        let waited = try await withThrowingTaskGroup { group in
            try await pool.withTransaction { connection in
                try await connection.execute("SELECT pg_advisory_xact_lock(\(lock))")
                for _ in 0..<waiters {
                    group.addTask {
                        try await pool.withTransaction { other in
                            try await other.execute("SELECT pg_advisory_xact_lock(\(lock))")
                        }
                    }
                }
                func waiting() async throws -> Int? {
                    try await connection.query(
                        """
                        SELECT count(*) AS n FROM pg_locks WHERE NOT granted
                            AND locktype = 'advisory'
                            AND (classid::bigint << 32 | objid::bigint) = \(lock)
                        """
                    ).first?.decode("n")
                }
                while try await waiting() != waiters { await Task.yield() }
            }
            return try await group.reduce(0, +)
        }
        #expect(waited == waiters)
        await pool.close()
    }

    @Test("a caller that waits too long is told why")
    func waitTimeout() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.maxConnections = 1
        configuration.waitTimeout = .milliseconds(10)
        let pool = PostgresPool(configuration)
        try await pool.withConnection { _ in
            let error = try await #require(throws: DatabaseError.self) {
                try await pool.query("SELECT 1")
            }
            #expect(error.message == "all 1 connections of the pool are taken for 0.01 seconds")
        }
        #expect(try await pool.query("SELECT 1 AS one").first?.decode("one") == 1)
        await pool.close()
    }

    @Test("a cancelled caller leaves the line")
    func cancelledWaiter() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.maxConnections = 1
        let pool = PostgresPool(configuration)
        try await pool.withConnection { _ in
            let waiter = Task { try await pool.query("SELECT 1") }
            while pool.counts.waiting == 0 { await Task.yield() }
            waiter.cancel()
            await #expect(throws: CancellationError.self) { try await waiter.value }
            #expect(pool.counts.waiting == 0)
        }
        await pool.close()
    }

    @Test("a session that the server ended is replaced")
    func reconnect() async throws {
        let pool = try TestDatabase.pool()
        let first = try await pool.withConnection { try #require(await $0.backendID) }
        let observer = PostgresPool(try TestDatabase.configuration())
        try await observer.execute("SELECT pg_terminate_backend(\(first), 10000)")
        let second = try await pool.query("SELECT pg_backend_pid() AS id")
        #expect(try second.first?.decode("id", as: Int.self) != first)
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        await observer.close()
    }

    @Test("a session that ends under a statement is a connection loss, and is not kept")
    func lostInUse() async throws {
        let pool = try TestDatabase.pool()
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.query("SELECT pg_terminate_backend(pg_backend_pid())")
        }
        #expect(error.sqlState == DatabaseError.State.adminShutdown)
        #expect(error.isConnectionLoss)
        #expect(pool.counts == PostgresPool.Counts(idle: 0, taken: 0, waiting: 0))
        #expect(try await pool.query("SELECT 1 AS one").first?.decode("one") == 1)
    }

    @Test("a server that is not there is an error that says so")
    func noServer() async throws {
        var configuration = PostgresConfiguration(
            conninfo: "host=/nonexistent dbname=x user=y password=hunter2"
        )
        configuration.waitTimeout = .milliseconds(300)
        let pool = PostgresPool(configuration)
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.query("SELECT 1")
        }
        #expect(error.isConnectionLoss)
        #expect(
            error.message.hasPrefix(
                "cannot connect (database x, host /nonexistent, port 5432): connection to server"
            )
        )
        #expect(!"\(error)".contains("hunter2"))
        #expect(pool.counts == PostgresPool.Counts(idle: 0, taken: 0, waiting: 0))
    }

    @Test("a closed pool refuses")
    func closed() async throws {
        let pool = PostgresPool(try TestDatabase.configuration())
        try await pool.execute("SELECT 1")
        await pool.close()
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.query("SELECT 1")
        }
        #expect(error.message == "the pool is closed")
    }
}
