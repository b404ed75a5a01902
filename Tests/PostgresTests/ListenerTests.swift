import Foundation
@testable import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct ListenerTests {
    /// Calls the body with the events of a listener that runs meanwhile.
    private func withListener(
        _ configuration: PostgresConfiguration,
        channels: [String],
        _ body: (AsyncStream<PostgresListener.Event>) async throws -> Void
    ) async throws {
        let listener = PostgresListener(configuration, channels: channels)
        try await withThrowingTaskGroup { group in
            group.addTask { try await listener.run() }
            try await body(listener.events)
            group.cancelAll()
            try await group.waitForAll()
            // The stream ends with the run.
            for await _ in listener.events {}
        }
    }

    private func expect(
        _ expected: PostgresListener.Event,
        from events: AsyncStream<PostgresListener.Event>,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        var heard: PostgresListener.Event?
        for await event in events {
            heard = event
            break
        }
        #expect(heard == expected, sourceLocation: sourceLocation)
    }

    @Test("what is notified on its channels is heard in order, once it listens")
    func notifications() async throws {
        let pool = try TestDatabase.pool()
        let channels = ["farm_\(UUID())", "Odd \"channel\" \(UUID())"]
        try await withListener(TestDatabase.configuration(), channels: channels) { events in
            await expect(.reconnected, from: events)
            try await pool.withTransaction { connection in
                for (n, channel) in (channels + ["other"] + channels).enumerated() {
                    try await connection.execute("SELECT pg_notify(\(channel), \("payload \(n)"))")
                }
            }
            for (n, channel) in [(0, channels[0]), (1, channels[1]), (3, channels[0])] {
                let payload = "payload \(n)"
                await expect(.notification(channel: channel, payload: payload), from: events)
            }
        }
    }

    @Test("a listener whose session ended connects again and says so")
    func reconnects() async throws {
        let pool = try TestDatabase.pool()
        var configuration = try TestDatabase.configuration()
        configuration.applicationName = "listener-\(UUID())"
        let (name, channel) = (configuration.applicationName, "farm_\(UUID())")
        try await withListener(configuration, channels: [channel]) { events in
            await expect(.reconnected, from: events)
            for n in 0..<2 {
                let ended = try await pool.execute(
                    """
                    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                    WHERE application_name = \(name)
                    """
                )
                #expect(ended == 1)
                await expect(.reconnected, from: events)
                try await pool.execute("SELECT pg_notify(\(channel), \("\(n)"))")
                await expect(.notification(channel: channel, payload: "\(n)"), from: events)
            }
        }
    }

    @Test("a session that ends before it listens, the first one too, is followed by another")
    func lostEarly() async throws {
        let pool = try TestDatabase.pool()
        var configuration = try TestDatabase.configuration()
        configuration.applicationName = "listener-\(UUID())"
        let name = configuration.applicationName
        try await withThrowingTaskGroup { group in
            let listeners = (0..<16).map { _ in
                PostgresListener(configuration, channels: ["farm"])
            }
            for listener in listeners { group.addTask { try await listener.run() } }
            var ended = 0
            while ended < 3 * listeners.count {
                ended += try await pool.execute(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = \(name)
                    """
                )
            }
            for listener in listeners { await expect(.reconnected, from: listener.events) }
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test("a listener hears again after its server has crashed and is there again")
    func restart() async throws {
        try await withCluster { cluster in
            try await withListener(cluster.connection, channels: ["farm"]) { events in
                await expect(.reconnected, from: events)
                cluster.crash()
                #expect(try await cluster.revive())
                await expect(.reconnected, from: events)
                let pool = PostgresPool(cluster.connection)
                try await pool.execute("SELECT pg_notify('farm', 'again')")
                await expect(.notification(channel: "farm", payload: "again"), from: events)
                await pool.close()
            }
        }
    }

    @Test("a listener without a server goes on trying, and ends when it is cancelled")
    func noServer() async throws {
        let configuration = PostgresConfiguration(conninfo: "host=/nonexistent dbname=x user=y")
        try await withListener(configuration, channels: ["farm"]) { _ in }
    }

    @Test("a listener that is refused for good says why")
    func refused() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.conninfo += " dbname=not_there"
        let listener = PostgresListener(configuration, channels: ["farm"])
        let error = try await #require(throws: DatabaseError.self) { try await listener.run() }
        #expect(error.message.contains("database \"not_there\" does not exist"))
        for await _ in listener.events { Issue.record("an event without a connection") }
    }

    @Test("a reader too slow for what comes is told to look for itself")
    func slowReader() async throws {
        let listener = PostgresListener(try TestDatabase.configuration(), channels: ["farm"])
        for n in 0..<PostgresListener.backlog + 10 {
            listener.tell(PostgresNotification(channel: "farm", payload: "\(n)"))
        }
        // Cancelled before it has begun, a run only ends the events.
        try await Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await listener.run()
        }.value
        let events = await listener.events.reduce(into: []) { $0.append($1) }
        #expect(events.count == PostgresListener.backlog)
        #expect(events.last == .reconnected)
        #expect(
            events.contains(
                .notification(channel: "farm", payload: "\(PostgresListener.backlog + 9)")
            )
        )
    }
}
