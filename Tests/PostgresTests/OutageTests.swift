import Foundation
@testable import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct OutageTests {
    /// Opens so many connections of the pool at once, and leaves them resting.
    private func fill(_ pool: PostgresPool, _ count: Int) async throws {
        guard count > 0 else { return }
        // One inside of the other, all are taken at once.
        try await pool.withConnection { connection in
            try await connection.execute("SELECT 1")
            try await fill(pool, count - 1)
        }
    }

    @Test(
        "resting connections of a server that was restarted cost no statement",
        arguments: [1, 4]
    )
    func restart(connections: Int) async throws {
        try await withCluster { cluster in
            var configuration = cluster.connection
            configuration.maxConnections = connections
            let pool = PostgresPool(configuration)
            try await fill(pool, connections)
            #expect(pool.counts.idle == connections)
            cluster.crash()
            #expect(try await cluster.revive())
            #expect(try await pool.query("SELECT \(1)::integer AS n").first?.decode("n") == 1)
            // With the first that was found dead, all went.
            #expect(pool.counts == PostgresPool.Counts(idle: 1, taken: 0, waiting: 0))
            cluster.crash()
            #expect(try await cluster.revive())
            try await pool.withTransaction { _ = try await $0.execute("CREATE TABLE a (n int)") }
            #expect(try await pool.batch(["SELECT n FROM a"]).count == 1)
            await pool.close()
        }
    }

    @Test("callers wait while the server is away, and all are served when it is back")
    func waiting() async throws {
        try await withCluster { cluster in
            var configuration = cluster.connection
            configuration.maxConnections = 4
            configuration.waitTimeout = .seconds(60)
            let pool = PostgresPool(configuration)
            try await fill(pool, 4)
            cluster.crash()
            let sum = try await withThrowingTaskGroup { group in
                for n in 0..<20 {
                    group.addTask {
                        try await pool.query("SELECT \(n)::integer AS n").first?.decode("n") ?? 0
                    }
                }
                // One tries, the others wait.
                while pool.counts != PostgresPool.Counts(idle: 0, taken: 1, waiting: 19) {
                    try Task.checkCancellation()
                    await Task.yield()
                }
                #expect(try await cluster.revive())
                return try await group.reduce(0, +)
            }
            #expect(sum == 190)
            #expect(pool.counts.taken == 0)
            #expect(pool.counts.waiting == 0)
            await pool.close()
        }
    }

    @Test("who waits too long for a server that is away is told which, without the password")
    func timeout() async throws {
        var configuration = PostgresConfiguration(
            conninfo: "host=/nonexistent port=7 dbname=farm user=y password=hunter2"
        )
        // A place for each, else the last may wait for places alone and hear of no server.
        configuration.maxConnections = 10
        configuration.waitTimeout = .seconds(3)
        let pool = PostgresPool(configuration)
        let messages = await withTaskGroup { group in
            for _ in 0..<10 {
                group.addTask {
                    do {
                        try await pool.execute("SELECT 1")
                        return "no error"
                    } catch {
                        return "\(error)"
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for message in messages {
            #expect(message.contains("cannot connect (database farm, host /nonexistent, port 7)"))
            #expect(!message.contains("hunter2"))
        }
        #expect(pool.counts == PostgresPool.Counts(idle: 0, taken: 0, waiting: 0))
    }

    @Test("a refusal that waiting does not mend is told at once")
    func refusal() async throws {
        try await withCluster { cluster in
            var configuration = cluster.connection
            configuration.conninfo += " dbname=not_there"
            configuration.waitTimeout = .seconds(3600)
            let pool = PostgresPool(configuration)
            let error = try await #require(throws: DatabaseError.self) {
                try await pool.execute("SELECT 1")
            }
            #expect(error.message.contains("\"not_there\" does not exist"))
            #expect(pool.counts == PostgresPool.Counts(idle: 0, taken: 0, waiting: 0))
        }
    }

    @Test("a statement that was sent when its server went away is an error, never sent again")
    func lostStatement() async throws {
        try await withCluster { cluster in
            let pool = PostgresPool(cluster.connection)
            try await pool.execute("CREATE SEQUENCE ticket")
            let sent = Task {
                try await pool.query("SELECT nextval('ticket'), pg_sleep(\(600))")
            }
            let observer = PostgresPool(cluster.connection)
            func isRunning() async throws -> Bool {
                try await !observer.query(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                ).isEmpty
            }
            while try await !isRunning() { await Task.yield() }
            cluster.crash()
            let error = try await #require(throws: DatabaseError.self) { try await sent.value }
            #expect(error.isConnectionLoss)
            #expect(try await cluster.revive())
            while try await isRunning() { await Task.yield() }
            #expect(pool.counts == PostgresPool.Counts(idle: 0, taken: 0, waiting: 0))
            await pool.close()
            await observer.close()
        }
    }

    @Test("through crashes of a busy server no call hangs and no commit that was told is lost")
    func crashes() async throws {
        try await withSite { configuration in
            var configuration = configuration
            configuration.isDurable = true
            let cluster = try await PostgresCluster.start(configuration)
            var settings = cluster.connection
            settings.waitTimeout = .seconds(60)
            let pool = PostgresPool(settings)
            try await pool.execute("CREATE TABLE a (n bigint PRIMARY KEY)")
            let told = try await withThrowingTaskGroup { group in
                for caller in 0..<12 {
                    group.addTask { try await insert(60, of: caller, pool) }
                }
                for _ in 0..<2 {
                    cluster.crash()
                    #expect(try await cluster.revive())
                    try await pool.execute("SELECT 1")
                }
                return try await group.reduce(into: Set<Int>()) { $0.formUnion($1) }
            }
            let rows = try await pool.query("SELECT n FROM a")
            let kept = Set(try rows.map { try $0.decode("n", as: Int.self) })
            #expect(!told.isEmpty)
            #expect(told.isSubset(of: kept))
            #expect(pool.counts.taken == 0)
            await pool.close()
            try await cluster.stop()
        }
    }

    /// Inserts so many numbers, each in a transaction, and returns those whose commit was told.
    private func insert(_ count: Int, of caller: Int, _ pool: PostgresPool) async throws -> Set<Int>
    {
        var told: Set<Int> = []
        for n in 0..<count {
            let number = caller * 1000 + n
            do {
                _ = try await pool.withTransaction { connection in
                    try await connection.execute("INSERT INTO a VALUES (\(number))")
                }
                told.insert(number)
            } catch let error as DatabaseError where error.isConnectionLoss {
                continue
            }
        }
        return told
    }

    @Test("connections that are too old, or rest too long, are let go")
    func ageing() async throws {
        try await withCluster { cluster in
            var configuration = cluster.connection
            configuration.maxLifetime = .zero
            let mortal = PostgresPool(configuration)
            try await mortal.execute("SELECT 1")
            #expect(mortal.counts == PostgresPool.Counts(idle: 0, taken: 0, waiting: 0))
            configuration.maxLifetime = .seconds(3600)
            configuration.idleTimeout = .milliseconds(50)
            let resting = PostgresPool(configuration)
            try await fill(resting, 3)
            #expect(resting.counts.taken == 0)
            while resting.counts.idle > 0 { await Task.yield() }
            #expect(try await resting.query("SELECT 1 AS one").first?.decode("one") == 1)
            await mortal.close()
            await resting.close()
        }
    }
}
