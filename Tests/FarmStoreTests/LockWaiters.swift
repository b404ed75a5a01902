import Postgres
import Testing

extension PostgresPool {
    /// Waits until so many transactions of this database wait for a lock.
    func waitForWaiters(_ count: Int) async throws {
        for _ in 0..<500 {
            let waiters = try await query(
                """
                SELECT count(*) AS value FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            ).first?.decode("value", as: Int.self)
            if waiters ?? 0 >= count { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("\(count) transactions never waited for a lock")
    }
}
