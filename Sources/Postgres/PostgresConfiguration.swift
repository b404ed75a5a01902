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

    /// How long a connection may rest in a pool before it is closed.
    package var idleTimeout: Duration = .seconds(600)

    /// How old a connection of a pool becomes, give or take a tenth.
    package var maxLifetime: Duration = .seconds(3600)

    /// How many statements a session keeps prepared; zero is none.
    package var preparedStatements = 256

    /// How the server plans prepared statements.
    package var planCacheMode = PlanCacheMode.auto

    /// Creates the configuration of a database, everything else at its default.
    package init(conninfo: String) {
        self.conninfo = conninfo
    }
}

extension PostgresConfiguration {
    /// How the server plans a prepared statement, as its setting `plan_cache_mode` says.
    package enum PlanCacheMode: String, Sendable {
        /// By what the first five runs cost.
        case auto
        /// Once for all values.
        case forceGenericPlan = "force_generic_plan"
        /// Anew for each run's values.
        case forceCustomPlan = "force_custom_plan"
    }

    /// The one statement that sets what every session has.
    var sessionSettings: Query {
        let statement = String(statementTimeout.milliseconds)
        let idle = String(idleInTransactionTimeout.milliseconds)
        let path = searchPath.map { "\"\($0.replacing("\"", with: "\"\""))\"" }
        // A name that is asked for is set, one that is not keeps its own value. Over TCP the server
        // is to find a host that is gone as soon as this side does; sockets of Unix have no use for it.
        var query: Query = """
            SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false),
                set_config('statement_timeout', \(statement), false),
                set_config('idle_in_transaction_session_timeout', \(idle), false),
                set_config('plan_cache_mode', \(planCacheMode.rawValue), false),
                set_config('tcp_keepalives_idle', '30', false),
                set_config('tcp_keepalives_interval', '10', false),
                set_config('tcp_keepalives_count', '3', false),
                set_config('tcp_user_timeout', '30000', false),
                set_config('search_path', coalesce(\(path), current_setting('search_path')), false)
            """
        query.isOneOff = true
        return query
    }
}

extension Duration {
    /// The duration in whole milliseconds, at least 0.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        return max(0, Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}
