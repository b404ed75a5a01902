package import Postgres

extension FarmStore {
    /// Calls the body while no other coordinator does the same duty; nil at once when one does.
    ///
    /// The lock is a session's, of a connection of its own: it is free when the process, or the
    /// connection, is gone or stands still, and then the body's task is cancelled. A body may hold it
    /// for long, and confirms it before each thing that one coordinator at a time may do.
    package func withDuty<R: Sendable>(
        _ duty: Duty,
        _ body: @escaping @Sendable (SessionLock) async throws -> R
    ) async throws -> R? {
        let row = try await pool.query("SELECT hashtext(current_schema()) AS schema").first
        guard let row else { throw FarmStoreError.vanished("the schema's name") }
        return try await pool.withSessionLock(
            duty.rawValue,
            try row.decode("schema", as: Int.self),
            body: body
        )
    }
}
