package import FarmModel
import Postgres

/// What the metrics show of the database.
package struct FarmGauges: Sendable, Hashable {
    /// The tasks of the jobs that are kept by state, zero included.
    package var tasks: [TaskState: Int]
    /// Workers by state, zero included.
    package var workers: [WorkerState: Int]
    /// Groups by state, zero included; those that are dissolved as long as they are remembered.
    package var groups: [GroupState: Int]
    /// Dead and live rows of each hot table, as the server last counted them.
    package var tables: [String: RowCounts]
}

/// How many rows of a table the server counted.
package struct RowCounts: Sendable, Hashable {
    package var live: Int
    package var dead: Int
}

extension FarmStore {
    /// The tables whose rows come and go with every claim.
    static let hotTables = ["ready", "resting", "lease", "account_usage"]

    /// Reads what the metrics show of the database; four queries.
    ///
    /// Of the history only the tasks of jobs that failed or were cancelled are read; how many
    /// succeeded follows from the jobs' counters.
    package func gauges() async throws -> FarmGauges {
        try await pool.withConnection { connection in
            FarmGauges(
                tasks: try await taskCounts(on: connection),
                workers: try await workerCounts(on: connection),
                groups: try await groupCounts(on: connection),
                tables: try await tableCounts(on: connection)
            )
        }
    }

    private func taskCounts(on connection: PostgresConnection) async throws -> [TaskState: Int] {
        let rows = try await connection.query(
            """
            WITH queued AS (
                SELECT CASE WHEN head.blocked_by IS NULL THEN 'ready' ELSE 'blocked' END AS state
                FROM (SELECT head_id FROM ready UNION ALL SELECT head_id FROM resting) AS place
                JOIN head ON head.id = place.head_id
            ), unsuccessful AS (
                SELECT task.state FROM job JOIN task ON task.job_id = job.id
                WHERE job.failed_count + job.cancelled_count > 0
                    AND task.state IN ('failed', 'cancelled')
            )
            SELECT state, count(*) AS n FROM queued GROUP BY state
            UNION ALL SELECT 'leased', count(*) FROM lease
            UNION ALL SELECT 'drafted', coalesce(sum(drafted_count), 0) FROM job
                WHERE drafted_count > 0
            UNION ALL SELECT state, count(*) FROM unsuccessful GROUP BY state
            UNION ALL SELECT 'succeeded', coalesce((
                SELECT sum(task_count - live_task_count) FROM job
            ), 0) - (SELECT count(*) FROM unsuccessful)
            """
        )
        return try Self.countsByState(rows)
    }

    private func workerCounts(
        on connection: PostgresConnection
    ) async throws -> [WorkerState: Int] {
        let rows = try await connection.query(
            """
            SELECT \(raw: Self.workerState) AS state, count(*) AS n FROM worker GROUP BY 1
            """
        )
        return try Self.countsByState(rows)
    }

    private func groupCounts(
        on connection: PostgresConnection
    ) async throws -> [GroupState: Int] {
        let rows = try await connection.query(
            """
            SELECT \(raw: Self.groupState) AS state, count(*) AS n FROM worker_group GROUP BY 1
            """
        )
        return try Self.countsByState(rows)
    }

    /// How many of each state rows tell, zero where none does.
    private static func countsByState<State: CaseIterable & Hashable & PostgresDecodable>(
        _ rows: [Row]
    ) throws -> [State: Int] {
        var counts = Dictionary(uniqueKeysWithValues: State.allCases.map { ($0, 0) })
        for row in rows { counts[try row.decode("state")] = try row.decode("n") }
        return counts
    }

    /// The server's own counts of the rows of the tables that claims use, by name.
    package func hotTableCounts() async throws -> [String: RowCounts] {
        try await pool.withConnection { try await tableCounts(on: $0) }
    }

    /// The server's own counts of the hot tables' rows.
    func tableCounts(on connection: PostgresConnection) async throws -> [String: RowCounts] {
        let rows = try await connection.query(
            """
            SELECT relname::text AS name, n_live_tup AS live, n_dead_tup AS dead
            FROM pg_stat_user_tables
            WHERE schemaname = current_schema() AND relname = ANY(\(Self.hotTables)::text[])
            """
        )
        return Dictionary(
            uniqueKeysWithValues: try rows.map {
                (
                    try $0.decode("name", as: String.self),
                    RowCounts(live: try $0.decode("live"), dead: try $0.decode("dead"))
                )
            }
        )
    }
}
