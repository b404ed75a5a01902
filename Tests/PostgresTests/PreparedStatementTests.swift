import Foundation
@testable import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct PreparedStatementTests {
    /// How many statements the session has prepared, and whose text is like the pattern.
    private func count(_ connection: PostgresConnection, like pattern: String) async throws -> Int {
        var query: Query = """
            SELECT count(*) AS n FROM pg_prepared_statements
            WHERE statement LIKE \(pattern) AND statement NOT LIKE '%pg_prepared_statements%'
            """
        query.isOneOff = true
        return try #require(try await connection.query(query).first).decode("n")
    }

    @Test("a query with parameters is prepared once, one without when it comes again")
    func preparedOnce() async throws {
        try await TestDatabase.pool().withConnection { connection in
            for n in 0..<3 {
                let row = try await connection.query("SELECT \(n)::integer AS first_text").first
                #expect(try row?.decode("first_text") == n)
            }
            #expect(try await count(connection, like: "%first_text%") == 1)
            for expected in [0, 1, 1] {
                try await connection.execute("SELECT 1 AS second_text")
                #expect(try await count(connection, like: "%second_text%") == expected)
            }
            var once: Query = "SELECT \(1)::integer AS third_text"
            once.isOneOff = true
            for _ in 0..<2 { try await connection.execute(once) }
            #expect(try await count(connection, like: "%third_text%") == 0)
        }
    }

    @Test("a session keeps so many statements and lets go of the one unused for longest")
    func bound() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.preparedStatements = 3
        let pool = PostgresPool(configuration)
        try await pool.withConnection { connection in
            for n in 0..<8 {
                try await connection.execute("SELECT \(n)::integer AS bounded, \(raw: "\(n)") AS n")
                // Used each time, the first is never the oldest.
                try await connection.execute("SELECT \(0)::integer AS bounded, 0 AS n")
            }
            #expect(try await count(connection, like: "%bounded%") == 3)
            #expect(try await count(connection, like: "%0 AS n") == 1)
        }
        await pool.close()
    }

    @Test("a batch with more new statements than are kept leaves no more than those")
    func largeBatch() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.preparedStatements = 4
        let pool = PostgresPool(configuration)
        try await pool.withConnection { connection in
            let queries = (0..<20).map { n -> Query in "SELECT \(n)::integer AS n\(raw: "\(n)")" }
            let results = try await connection.batch(queries)
            let values = try results.enumerated().map { n, result in
                try result.rows.first?.decode("n\(n)", as: Int.self)
            }
            #expect(values == Array(0..<20))
            var next: Query = "SELECT 1"
            next.isOneOff = true
            try await connection.execute(next)
            #expect(try await count(connection, like: "%::integer AS n%") == 4)
        }
        await pool.close()
    }

    @Test(
        "what leaves the cache inside a failed transaction leaves the server after the roll-back",
        arguments: 1...4
    )
    func leftInFailedTransaction(statements: Int) async throws {
        var configuration = try TestDatabase.configuration()
        configuration.preparedStatements = statements
        let pool = PostgresPool(configuration)
        try await pool.withConnection { connection in
            func run(_ name: String) async throws {
                for n in 0..<statements {
                    let row = try await connection.query(
                        "SELECT \(n)::integer AS leaving_\(raw: "\(name)\(n)")"
                    ).first
                    #expect(row != nil)
                }
            }
            try await run("old")
            #expect(try await count(connection, like: "%leaving_old%") == statements)
            try await connection.execute("BEGIN")
            await #expect(throws: DatabaseError.self) {
                try await connection.execute("SELECT 1 / (\(0)::integer) AS leaving_failed")
            }
            // Each of these is refused, and pushes one of the old ones out.
            for n in 0..<statements {
                await #expect(throws: DatabaseError.self) {
                    try await connection.execute(
                        "SELECT \(n)::integer AS leaving_refused\(raw: "\(n)")"
                    )
                }
            }
            try await connection.execute("ROLLBACK")
            var next: Query = "SELECT 1"
            next.isOneOff = true
            try await connection.execute(next)
            #expect(try await count(connection, like: "%leaving_%") == 0)
            try await run("new")
            #expect(try await count(connection, like: "%leaving_new%") == statements)
        }
        await pool.close()
    }

    @Test("a table that changed under a prepared statement is read anew", arguments: [false, true])
    func changedTable(inTransaction: Bool) async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a AS SELECT 1 AS n")
        let query: Query = "SELECT * FROM a WHERE n > \(0)"
        #expect(try await pool.query(query).count == 1)
        try await pool.execute("ALTER TABLE a ADD COLUMN word text DEFAULT 'new'")
        let row =
            if inTransaction {
                try await pool.withTransaction { try await $0.query(query).first }
            } else {
                try await pool.query(query).first
            }
        #expect(try row?.decode("word") == "new")
        #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
    }

    @Test("inside of a transaction a changed table is an error, and the next try succeeds")
    func changedTableInside() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE a AS SELECT 1 AS n")
        let query: Query = "SELECT * FROM a WHERE n > \(0)"
        func add(_ name: String) async throws -> [Row] {
            try await pool.withTransaction { connection in
                _ = try await connection.query("SELECT \(1)::integer")
                return try await connection.query(query)
            }
        }
        #expect(try await add("first").count == 1)
        try await pool.execute("ALTER TABLE a ADD COLUMN word text DEFAULT 'new'")
        let error = try await #require(throws: DatabaseError.self) { try await add("second") }
        #expect(error.sqlState == DatabaseError.State.featureNotSupported)
        #expect(try await add("third").first?.decode("word") == "new")
    }

    @Test("statements that the server has forgotten are prepared again")
    func forgotten() async throws {
        try await TestDatabase.pool().withConnection { connection in
            for n in 0..<2 {
                let row = try await connection.query("SELECT \(n)::integer AS n").first
                #expect(try row?.decode("n") == n)
                try await connection.execute(script: "DEALLOCATE ALL")
            }
        }
    }

    @Test("a refused statement is not taken for prepared")
    func refused() async throws {
        try await TestDatabase.pool().withConnection { connection in
            let query: Query = "SELECT n FROM later WHERE n = \(1)::integer"
            let error = try await #require(throws: DatabaseError.self) {
                try await connection.query(query)
            }
            #expect(error.sqlState == DatabaseError.State.undefinedTable)
            try await connection.execute("CREATE TABLE later AS SELECT 1 AS n")
            #expect(try await connection.query(query).count == 1)
        }
    }

    @Test(
        "the server plans as it is told",
        arguments: [PostgresConfiguration.PlanCacheMode.auto, .forceGenericPlan, .forceCustomPlan]
    )
    func planCacheMode(_ mode: PostgresConfiguration.PlanCacheMode) async throws {
        var configuration = try TestDatabase.configuration()
        configuration.planCacheMode = mode
        let pool = PostgresPool(configuration)
        let row = try await pool.query("SELECT current_setting('plan_cache_mode') AS mode").first
        #expect(try row?.decode("mode") == mode.rawValue)
        await pool.close()
    }
}
