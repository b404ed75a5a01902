import Foundation
@testable import Postgres
import Synchronization
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct TransactionTests {
    private struct Refused: Error {}

    @Test("what is to come after a commit comes with it, and never after a roll-back")
    func afterCommit() async throws {
        struct Stop: Error {}
        let pool = try TestDatabase.pool()
        let said = Mutex<[String]>([])
        func say(_ words: String, on connection: PostgresConnection) {
            connection.afterCommit { said.withLock { $0.append(words) } }
        }
        await #expect(throws: Stop.self) {
            try await pool.withTransaction { connection in
                try await connection.execute("SELECT 1")
                say("rolled back", on: connection)
                throw Stop()
            }
        }
        try await pool.withTransaction { connection in
            try await connection.execute("SELECT 1")
            say("committed", on: connection)
            #expect(said.withLock(\.self).isEmpty)
        }
        try await pool.withTransaction { _ = try await $0.execute("SELECT 1") }
        #expect(said.withLock(\.self) == ["committed"])
    }

    @Test("a transaction commits when its body returns and rolls back when it throws")
    func transactions() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int)")
        try await pool.withTransaction { _ = try await $0.execute("INSERT INTO a VALUES (1)") }
        await #expect(throws: Refused.self) {
            try await pool.withTransaction { connection in
                try await connection.execute("INSERT INTO a VALUES (2)")
                throw Refused()
            }
        }
        let rows = try await pool.query("SELECT n FROM a")
        #expect(try rows.map { try $0.decode("n", as: Int.self) } == [1])
    }

    @Test("all statements of a transaction, the first with them, are in one")
    func oneTransaction() async throws {
        let pool = try TestDatabase.pool()
        func number(_ connection: PostgresConnection) async throws -> String? {
            try await connection.query("SELECT pg_current_xact_id()::text AS id").first?
                .decode("id")
        }
        let (inside, outside) = try await pool.withTransaction { connection in
            let inside = [try await number(connection), try await number(connection)]
            return (inside, try await pool.withConnection { try await number($0) })
        }
        #expect(inside[0] != nil)
        #expect(inside[0] == inside[1])
        #expect(inside[0] != outside)
    }

    @Test("a transaction without statements leaves nothing behind", arguments: [false, true])
    func empty(throwing: Bool) async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int)")
        try? await pool.withTransaction { _ in
            if throwing { throw Refused() }
        }
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        // The same connection has not kept a BEGIN for this statement.
        try await pool.execute("INSERT INTO a VALUES (1)")
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
        #expect(try await pool.query("SELECT n FROM a").count == 1)
    }

    @Test("a script that comes first in a transaction is undone with it")
    func scriptFirst() async throws {
        let pool = try TestDatabase.pool()
        await #expect(throws: Refused.self) {
            try await pool.withTransaction { connection in
                try await connection.execute(script: "CREATE TABLE a (n int); SELECT 1;")
                throw Refused()
            }
        }
        let row = try await pool.query("SELECT to_regclass('a') IS NULL AS is_gone").first
        #expect(try row?.decode("is_gone") == true)
    }

    @Test("a first statement that was refused unsent leaves the next one in the transaction")
    func refusedFirst() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int)")
        await #expect(throws: Refused.self) {
            try await pool.withTransaction { connection in
                let error = try await #require(throws: DatabaseError.self) {
                    try await connection.execute("SELECT \("a\0b")::text")
                }
                #expect(error.message == "a text parameter contains a NUL character")
                try await connection.execute("INSERT INTO a VALUES (1)")
                throw Refused()
            }
        }
        #expect(try await pool.query("SELECT n FROM a").isEmpty)
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
    }

    @Test("a body that hides a failed statement does not pass for a commit")
    func hiddenError() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int)")
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.withTransaction { connection in
                try await connection.execute("INSERT INTO a VALUES (1)")
                _ = try? await connection.execute("SELECT nope")
            }
        }
        #expect(error.sqlState == DatabaseError.State.transactionRollback)
        #expect(try await pool.query("SELECT n FROM a").isEmpty)
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
    }

    @Test("a cancelled transaction is rolled back and its connection kept")
    func cancelled() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int)")
        await #expect(throws: CancellationError.self) {
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await pool.withTransaction { connection in
                        try await connection.execute("INSERT INTO a VALUES (1)")
                        withUnsafeCurrentTask { $0?.cancel() }
                        try await connection.execute("INSERT INTO a VALUES (2)")
                    }
                }
                try await group.waitForAll()
            }
        }
        #expect(try await pool.query("SELECT n FROM a").isEmpty)
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
    }

    @Test("a connection left inside a transaction is not kept")
    func leftOpen() async throws {
        let pool = try TestDatabase.pool()
        try await pool.withConnection { _ = try await $0.execute("BEGIN") }
        #expect(pool.counts.idle == 0)
    }

    @Test("statements and transactions that the server ends to resolve a deadlock run again")
    func deadlock() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a (n int, done int NOT NULL DEFAULT 0)")
        try await pool.execute("INSERT INTO a VALUES (1), (2)")
        // Whoever waits first looks first for a deadlock, and is the one that is ended.
        try await withThrowingTaskGroup(of: Void.self) { group in
            let (holds, hold) = AsyncStream<Void>.makeStream()
            group.addTask {
                try await pool.withTransaction { connection in
                    try await connection.execute("UPDATE a SET done = done + 1 WHERE n = 2")
                    hold.yield()
                    try await Task.sleep(for: .milliseconds(300))
                    try await connection.execute("SET LOCAL deadlock_timeout = '60s'")
                    try await connection.execute("UPDATE a SET done = done + 1 WHERE n = 1")
                }
            }
            group.addTask {
                for await _ in holds { break }
                let count = try await pool.execute(
                    """
                    WITH first AS (SELECT n FROM a WHERE n = 1 FOR UPDATE),
                        pair AS (SELECT a.n FROM first, a ORDER BY a.n FOR UPDATE OF a)
                    UPDATE a SET done = done + 1 FROM pair WHERE a.n = pair.n
                    """
                )
                #expect(count == 2)
            }
            try await group.waitForAll()
        }
        let rows = try await pool.query("SELECT done FROM a ORDER BY n")
        #expect(try rows.map { try $0.decode("done", as: Int.self) } == [2, 2])
    }

    @Test("a transaction that meets a conflict each time is given up")
    func conflictForEver() async throws {
        let pool = try TestDatabase.pool()
        var tries = 0
        let error = await #expect(throws: DatabaseError.self) {
            try await pool.withRetries {
                tries += 1
                try await pool.withConnection { connection in
                    _ = try await connection.execute(
                        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"
                    )
                }
            }
        }
        #expect(error?.isConflict == true)
        #expect(tries == 5)
    }
}
