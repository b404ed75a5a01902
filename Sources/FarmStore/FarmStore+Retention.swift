import FarmModel
import Postgres

/// How long what is kept is kept, where no rule of its owner says otherwise; nil for ever.
package struct RetentionPolicy: Sendable, Hashable {
    /// Lines that workers logged.
    package var logs: Duration? = .seconds(14 * 86_400)
    /// Jobs that are over; those with pictures stay for as long as pictures do.
    package var history: Duration? = .seconds(90 * 86_400)
    /// Pictures, from the end of their job on.
    package var outputs: Duration?
    /// Computed conditions that nobody used.
    package var artifacts: Duration? = .seconds(30 * 86_400)
    /// Drafts that nobody keeps or drops.
    package var drafts: Duration? = .seconds(14 * 86_400)

    /// Creates the policy with every time at its default.
    package init() {}
}

/// What one run of the retention duty took away.
package struct RetentionReport: Sendable, Hashable {
    package var jobs = 0
    package var logLines = 0
    package var checkpoints = 0
    package var artifacts = 0
    package var webhooks = 0
    package var credentials = 0
    package var audits = 0
    package var drafts = 0
}

extension FarmStore {
    /// How many jobs one transaction deletes.
    private static let retentionBatch = 10

    /// In seconds, longer than a job can have been over: what the server can still reckon with.
    private static let longestHistory = 3e9

    /// Takes away what is kept no longer: the retention duty, to be run every hour or so.
    ///
    /// Checkpoints go with the end of their job, and a draft's with its decision. The audit trail stays.
    package func runRetention(_ policy: RetentionPolicy) async throws -> RetentionReport {
        var report = RetentionReport()
        if let drafts = policy.drafts {
            report.drafts = try await expireDrafts(after: drafts)
        }
        while case let count = try await deleteOldJobs(policy), count > 0 { report.jobs += count }
        if let history = policy.history {
            report.webhooks = try await pool.execute(
                """
                DELETE FROM webhook WHERE coalesce(sent_at, given_up_at)
                    < now() - make_interval(secs => \(history.inSeconds))
                """
            )
            report.audits = try await pool.execute(
                """
                DELETE FROM picture_audit
                WHERE decided_at < now() - make_interval(secs => \(history.inSeconds))
                    AND NOT EXISTS (
                        SELECT FROM picture_copy WHERE picture_copy.audit_id = picture_audit.id
                            AND picture_copy.dropped_at IS NULL
                    )
                """
            )
        }
        if let logs = policy.logs {
            report.logLines = try await pool.execute(
                """
                DELETE FROM log_line WHERE at < now() - make_interval(secs => \(logs.inSeconds))
                """
            )
        }
        report.checkpoints = try await pool.execute(
            """
            DELETE FROM checkpoint USING task JOIN job ON job.id = task.job_id
            WHERE checkpoint.task_id = task.id AND job.finished_at IS NOT NULL
            """
        )
        report.credentials = try await pool.execute(
            "DELETE FROM worker_credential WHERE expires_at < now() - interval '1 day'"
        )
        if let artifacts = policy.artifacts {
            report.artifacts = try await pool.execute(
                """
                DELETE FROM artifact
                WHERE used_at < now() - make_interval(secs => \(artifacts.inSeconds))
                """
            )
        }
        return report
    }

    /// A condition of SQL on a `job` and the `retention` of its owner, where that has one: whether the job's
    /// pictures are kept.
    ///
    /// - Parameter outputs: How long they are kept after its end where no rule of the owner says otherwise;
    ///   nil for ever.
    /// - Returns: The condition, in parentheses.
    static func keepsOutputs(_ outputs: Duration?) -> String {
        """
        ((extract(epoch FROM now() - job.finished_at)::double precision
            > coalesce(retention.outputs, '\(outputs?.inSeconds ?? .infinity)'::double precision))
            IS NOT TRUE)
        """
    }

    private func deleteOldJobs(_ policy: RetentionPolicy) async throws -> Int {
        let history = policy.history?.inSeconds ?? .infinity
        return try await withRetriedTransaction(isLong: true) { connection in
            // The youngest that any rule takes away, which is found by the index.
            let least = try await connection.query(
                "SELECT min(history) AS least FROM retention"
            ).first?.decodeIfPresent("least", as: Double.self)
            let youngest = min(history, least ?? .infinity, Self.longestHistory)
            let old = try await connection.query(
                """
                SELECT job.id FROM job LEFT JOIN retention ON retention.owner = job.owner,
                    LATERAL (SELECT extract(epoch FROM now() - job.finished_at)::double precision
                        AS seconds) AS age
                WHERE job.finished_at < now() - make_interval(secs => \(youngest))
                    AND age.seconds > coalesce(retention.history, \(history)::double precision)
                    AND (job.delivered_count = 0 OR NOT \(raw: Self.keepsOutputs(policy.outputs)))
                ORDER BY job.id LIMIT \(Self.retentionBatch)
                """
            )
            let jobs = try await Self.lockOver(old, on: connection)
            guard !jobs.isEmpty else { return 0 }
            try await Self.deleteRows(of: jobs, on: connection)
            return jobs.count
        }
    }
}
