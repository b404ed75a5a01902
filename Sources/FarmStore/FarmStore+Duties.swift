import Postgres

extension FarmStore {
    /// Calls the body while no other coordinator does the same duty; nil at once when one does.
    ///
    /// The lock is a session's: it is free when the process, or the connection, is gone. The
    /// connection is taken from the pool for as long as the body runs, and closed then, so that the
    /// lock is given back even when the task was cancelled.
    package func withDuty<R>(_ duty: Duty, _ body: () async throws -> R) async throws -> R? {
        try await pool.withConnection { connection in
            do {
                let row = try await connection.query(
                    """
                    SELECT pg_try_advisory_lock(
                        \(duty.rawValue), hashtext(current_schema())) AS is_held
                    """
                ).first
                let result = try row?.decode("is_held") == true ? try await body() : nil
                await connection.close()
                return result
            } catch {
                await connection.close()
                throw error
            }
        }
    }
}
