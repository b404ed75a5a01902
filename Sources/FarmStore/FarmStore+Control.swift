package import FarmModel
import Postgres

/// What became of an operator's wish for a job.
package enum ControlOutcome: Sendable {
    /// The job stands so now.
    case done(JobRecord)
    /// It was so before.
    case unchanged(JobRecord)
    /// The job's state does not allow it.
    case refused(JobState)
    /// There is no such job.
    case notFound
}

extension FarmStore {
    /// Holds a job: nothing more of it is claimed, what is at a worker goes on.
    package func pauseJob(_ id: JobID, by actor: String) async throws -> ControlOutcome {
        try await control(id, "Job paused", by: actor) { state, connection in
            if state == .paused { return .unchanged }
            guard let next = state.state(after: .pause) else { return .refused }
            try await connection.execute(
                "UPDATE head SET blocked_by = 'job_paused' WHERE job_id = \(id)"
            )
            try await connection.execute("UPDATE job SET state = \(next) WHERE id = \(id)")
            try await Self.recordEvent(.jobPaused, of: id, on: connection)
            try await Self.recordAudit("job.paused", id.description, by: actor, on: connection)
            try await Self.notify(.control, id.description, on: connection)
            return .done
        }
    }

    /// Lets a held job go on; what it waited for besides, it waits for again.
    package func resumeJob(_ id: JobID, by actor: String) async throws -> ControlOutcome {
        try await control(id, "Job resumed", by: actor) { state, connection in
            if state == .pending || state == .running { return .unchanged }
            guard state.state(after: .resume) != nil else { return .refused }
            try await connection.execute(
                """
                UPDATE head SET blocked_by = CASE
                    WHEN EXISTS (
                        SELECT FROM unnest(job.after_jobs) AS wanted (id)
                        LEFT JOIN job AS before ON before.id = wanted.id
                        WHERE before.state IS DISTINCT FROM 'succeeded'
                    ) THEN 'dependency'
                    WHEN job.start_after > now() THEN 'start_after' END
                FROM job WHERE job.id = \(id) AND head.job_id = job.id
                """
            )
            // A job that had begun is at once where its next claim would bring it.
            try await connection.execute(
                """
                UPDATE job SET state = CASE WHEN started_at IS NULL THEN 'pending'
                    ELSE 'running' END
                WHERE id = \(id)
                """
            )
            try await Self.recordEvent(.jobResumed, of: id, on: connection)
            try await Self.recordAudit("job.resumed", id.description, by: actor, on: connection)
            try await Self.notify(.ready, id.description, on: connection)
            return .done
        }
    }

    /// Changes a job's place among its owner's jobs, or lifts it above the owners' shares.
    ///
    /// Only operators may lift; the caller has looked at that.
    package func prioritizeJob(
        _ id: JobID,
        priority: Int? = nil,
        isLifted: Bool? = nil,
        by actor: String
    ) async throws -> ControlOutcome {
        try await control(id, "Job prioritized", by: actor) { state, connection in
            guard !state.isFinal else { return .refused }
            let changed = try await connection.execute(
                """
                UPDATE head SET priority = coalesce(\(priority), priority),
                    is_lifted = coalesce(\(isLifted), is_lifted)
                WHERE job_id = \(id) AND (priority, is_lifted) IS DISTINCT FROM
                    (coalesce(\(priority), priority), coalesce(\(isLifted), is_lifted))
                """
            )
            guard changed > 0 else { return .unchanged }
            var detail: [String: String] = [:]
            if let priority { detail["priority"] = String(priority) }
            if let isLifted { detail["is_lifted"] = String(isLifted) }
            try await connection.execute(
                """
                UPDATE job SET priority = coalesce(\(priority), priority) WHERE id = \(id)
                """
            )
            var data = EventData()
            data.priority = priority
            data.isLifted = isLifted
            try await Self.recordEvent(.jobPrioritized, of: id, data, on: connection)
            try await Self.recordAudit(
                "job.prioritized",
                id.description,
                by: actor,
                detail,
                on: connection
            )
            try await Self.notify(.ready, id.description, on: connection)
            return .done
        }
    }

    /// What a change of a job came to.
    private enum Change { case done, unchanged, refused }

    /// Calls the body with the job's state, its heads and then its row locked, and tells of what it
    /// has changed.
    private func control(
        _ id: JobID,
        _ change: String,
        by actor: String,
        _ body: (JobState, PostgresConnection) async throws -> Change
    ) async throws -> ControlOutcome {
        try await withRetriedTransaction { connection in
            _ = try await Self.lockHeads(of: id, on: connection)
            guard let state = try await Self.lockJob(id, on: connection) else { return .notFound }
            let outcome = try await body(state, connection)
            guard outcome != .refused else { return .refused(state) }
            guard let job = try await job(id, on: connection) else { return .notFound }
            guard outcome == .done else { return .unchanged(job) }
            log(change, ["job": "\(id)", "owner": job.owner, "by": actor], on: connection)
            return .done(job)
        }
    }

    /// Locks a job's heads, so that nothing is queued under them meanwhile, and returns them.
    static func lockHeads(
        of job: JobID,
        on connection: PostgresConnection
    ) async throws -> [Int64] {
        try await connection.query(
            "SELECT id FROM head WHERE job_id = \(job) ORDER BY id FOR NO KEY UPDATE"
        ).map { try $0.decode("id") }
    }

    /// Locks a job's row and returns its state; nil when there is none.
    static func lockJob(
        _ job: JobID,
        on connection: PostgresConnection
    ) async throws -> JobState? {
        try await connection.query("SELECT state FROM job WHERE id = \(job) FOR NO KEY UPDATE")
            .first?.decode("state")
    }
}
