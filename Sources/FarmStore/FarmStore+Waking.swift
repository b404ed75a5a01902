package import FarmModel
import Postgres

/// What one run of the wake duty did.
package struct WakeReport: Sendable, Hashable {
    /// Tasks whose rest after a failure is over.
    package var rested = 0
    /// Jobs whose tasks were cut by the first speed that a worker told.
    package var sized = 0
    /// Heads whose start time has come.
    package var started = 0
    /// Jobs all of whose dependencies succeeded.
    package var unblocked: [JobID] = []
    /// Jobs that failed because a dependency did, or was cancelled.
    package var failedByDependency: [JobID] = []

    package init() {}
}

extension FarmStore {
    /// How many tasks one transaction wakes.
    private static let wakeBatch = 1000

    /// Lets what waited for a moment, or for another job, be claimed: the wake duty, to be run
    /// every second or so.
    package func runWake() async throws -> WakeReport {
        var report = WakeReport()
        while case let woken = try await wakeRested(), woken > 0 { report.rested += woken }
        report.started = try await openStarted()
        try await settleDependencies(&report)
        report.sized = try await sizeJobs()
        return report
    }

    private func wakeRested() async throws -> Int {
        try await withRetriedTransaction { connection in
            let heads = try await connection.query(
                """
                SELECT id FROM head WHERE id IN (
                    SELECT head_id FROM resting WHERE until <= now()
                    ORDER BY until LIMIT \(Self.wakeBatch)
                ) ORDER BY id FOR SHARE
                """
            ).map { try $0.decode("id", as: Int64.self) }
            guard !heads.isEmpty else { return 0 }
            let tasks = try await connection.query(
                """
                SELECT task_id FROM resting
                WHERE until <= now() AND head_id = ANY(\(heads)::bigint[])
                ORDER BY until LIMIT \(Self.wakeBatch)
                """
            ).map { try $0.decode("task_id", as: TaskID.self) }
            guard !tasks.isEmpty else { return 0 }
            try await queueTasks(tasks, restUntil: nil, on: connection)
            return tasks.count
        }
    }

    private func openStarted() async throws -> Int {
        try await withRetriedTransaction { connection in
            let opened = try await connection.execute(
                """
                UPDATE head SET blocked_by = NULL FROM job
                WHERE head.blocked_by = 'start_after' AND job.id = head.job_id
                    AND job.start_after <= now()
                """
            )
            if opened > 0 { try await Self.notify(.ready, "start", on: connection) }
            return opened
        }
    }

    private func settleDependencies(_ report: inout WakeReport) async throws {
        let rows = try await pool.query(
            """
            SELECT waiting.job_id, array_agg(coalesce(before.name, wanted.id::text)
                    ORDER BY wanted.place) FILTER (WHERE before.id IS NULL
                        OR before.state IN ('failed', 'cancelled')) AS broken
            FROM (SELECT DISTINCT job_id FROM head WHERE blocked_by = 'dependency') AS waiting
            JOIN job ON job.id = waiting.job_id
            CROSS JOIN LATERAL unnest(job.after_jobs) WITH ORDINALITY AS wanted (id, place)
            LEFT JOIN job AS before ON before.id = wanted.id
            GROUP BY waiting.job_id
            HAVING bool_or(before.id IS NULL OR before.state IN ('failed', 'cancelled'))
                OR bool_and(before.state = 'succeeded')
            ORDER BY waiting.job_id
            """
        )
        for row in rows {
            let id = try row.decode("job_id", as: JobID.self)
            if let broken = try row.decodeIfPresent("broken", as: [String].self) {
                let names = broken.joined(separator: ", ")
                let outcome = try await giveUpJob(
                    id,
                    reason: "dependency: \(names) did not succeed"
                )
                if case .cancelled = outcome { report.failedByDependency.append(id) }
            } else if try await openDependent(id) {
                report.unblocked.append(id)
            }
        }
    }

    /// Opens a job whose dependencies succeeded, unless it is held or starts later.
    private func openDependent(_ id: JobID) async throws -> Bool {
        try await withRetriedTransaction { connection in
            let opened = try await connection.execute(
                """
                UPDATE head SET blocked_by =
                    CASE WHEN job.start_after > now() THEN 'start_after' END
                FROM job WHERE job.id = \(id) AND head.job_id = job.id
                    AND head.blocked_by = 'dependency'
                """
            )
            try await Self.notify(.ready, id.description, on: connection)
            return opened > 0
        }
    }
}
