/// One `NOTIFY` as it came.
struct PostgresNotification: Sendable, Hashable {
    let channel: String
    let payload: String
}

/// Hears what is notified on some channels, over a connection of its own.
///
/// `run` connects, again and again while the server is away; `events` yields what comes. What was
/// notified while the listener was not connected is not heard: `.reconnected`, which comes with the
/// first connection too, says that it is time to look for oneself.
package final class PostgresListener: Sendable {
    /// What a listener hears.
    package enum Event: Sendable, Hashable {
        /// Something was notified.
        case notification(channel: String, payload: String)
        /// The channels are listened to from now on; what was notified before may have been missed.
        case reconnected
    }

    /// How long the server may say nothing before it is asked for a sign of life.
    private static let lifeInterval: Duration = .seconds(30)

    /// The longest pause between attempts to connect.
    private static let longestPause: Duration = .seconds(5)

    /// How many events wait for a slow reader; what is more is dropped and told by `.reconnected`.
    static let backlog = 1024

    /// What is heard, for one reader; ends with `run`.
    package let events: AsyncStream<Event>

    private let continuation: AsyncStream<Event>.Continuation
    private let configuration: PostgresConfiguration
    private let channels: [String]

    /// Creates a listener to channels of the configuration's database.
    package init(_ configuration: PostgresConfiguration, channels: [String]) {
        self.configuration = configuration
        self.channels = channels
        (events, continuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingNewest(Self.backlog)
        )
    }

    /// Listens until the task is cancelled, then returns; once.
    ///
    /// Throws a `DatabaseError` when the first connection is refused for a reason that waiting does
    /// not mend, such as a wrong password.
    package func run() async throws {
        defer { continuation.finish() }
        var backoff = Backoff(longest: Self.longestPause)
        var hasConnected = false
        while !Task.isCancelled {
            do {
                let connection = try await PostgresConnection.connect(configuration)
                hasConnected = true
                try await listen(on: connection)
                backoff = Backoff(longest: Self.longestPause)
                try await hear(connection)
            } catch let error as DatabaseError where error.isTransient || hasConnected {
                // The server is away, or was lost at whatever point; what is refused later, too,
                // was allowed once.
            } catch is CancellationError {
                return
            }
            // Cancelled, the sleep ends at once, and so does the loop.
            try? await Task.sleep(for: backoff.next())
        }
    }

    private func listen(on connection: PostgresConnection) async throws {
        try await connection.batch(
            channels.map { channel in
                let quoted = "\"\(channel.replacing("\"", with: "\"\""))\""
                return "LISTEN \(raw: quoted)"
            }
        )
        continuation.yield(.reconnected)
    }

    private func hear(_ connection: PostgresConnection) async throws {
        while true {
            let heard = try await connection.notifications(signOfLifeEvery: Self.lifeInterval)
            for notification in heard { tell(notification) }
        }
    }

    /// Yields a notification; where it pushes an older event out, the reader is to look for itself.
    func tell(_ notification: PostgresNotification) {
        let event = Event.notification(
            channel: notification.channel,
            payload: notification.payload
        )
        if case .dropped = continuation.yield(event) { continuation.yield(.reconnected) }
    }
}
