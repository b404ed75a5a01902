extension PostgresPool {
    /// Calls the body with a connection on which statements may take as long as they do.
    ///
    /// The time-out is back when the connection is given back; where that, or the body, fails, the
    /// connection is closed instead.
    ///
    /// Throws a `DatabaseError` when no connection is to be had, and what the body throws.
    package func withoutStatementTimeout<R>(
        for use: String? = nil,
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        try await withConnection(for: use) { connection in
            do {
                try await connection.execute("SET statement_timeout = 0")
                await connection.setPatient(true)
                let result = try await body(connection)
                await connection.setPatient(false)
                try await connection.execute(configuration.sessionSettings)
                return result
            } catch {
                await connection.close()
                throw error
            }
        }
    }

    /// Calls the body inside a transaction whose statements may take as long as they do.
    ///
    /// As ``withTransaction(_:)`` otherwise.
    package func withLongTransaction<R>(
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        try await withoutStatementTimeout { try await Self.transaction(on: $0, body) }
    }
}
