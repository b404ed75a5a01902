import Postgres

extension FarmStore {
    /// Calls the body while no other coordinator does the same duty; nil at once when one does.
    ///
    /// The lock is a session's, on a connection of its own: it is free when the process or the
    /// connection is gone, and the body is cancelled when the connection is lost.
    package func withDuty<R: Sendable>(
        _ duty: Duty,
        _ body: @escaping @Sendable () async throws -> R
    ) async throws -> R? {
        let row = try await pool.query("SELECT hashtext(current_schema()) AS key").first
        guard let key = try row?.decode("key", as: Int.self) else { return nil }
        return try await pool.withSessionLock(duty.rawValue, key, body: body)
    }
}
