/// Where the database is and how connections to it behave, read once.
package struct PostgresConfiguration: Sendable {
    /// A libpq connection string or `postgresql://` URL; it may hold a password, so it is never logged.
    package var conninfo: String

    /// How long a statement may run before the server cancels it; zero is for ever.
    package var statementTimeout: Duration = .seconds(30)

    /// How long a transaction may sit idle before the server ends its session; zero is for ever.
    package var idleInTransactionTimeout: Duration = .seconds(30)

    /// How long one attempt to connect may take, unless the connection string says otherwise.
    package var connectTimeout: Duration = .seconds(10)

    /// The one schema on the search path; nil leaves the server's.
    package var searchPath: String?

    /// The name under which the server lists the connections, unless the connection string has one.
    package var applicationName = "dreamfarm"

    /// The most connections that a pool opens.
    package var maxConnections = 8

    /// How long a caller waits for a connection of a pool that has none free.
    package var waitTimeout: Duration = .seconds(10)

    /// How long a connection may rest in a pool before it is tried by a round trip when taken.
    package var idleCheck: Duration = .seconds(10)

    /// Creates the configuration of a database, everything else at its default.
    package init(conninfo: String) {
        self.conninfo = conninfo
    }
}

extension Duration {
    /// The duration in whole milliseconds, at least 0.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        return max(0, Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}
