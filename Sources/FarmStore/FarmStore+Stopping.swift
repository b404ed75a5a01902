package import FarmModel
import Postgres

/// What became of the wish to cancel a job.
package enum CancelOutcome: Sendable, Hashable {
    /// It is cancelled; so many of its tasks were at a worker, whose next heartbeat says so.
    case cancelled(leased: Int)
    /// It was over before.
    case alreadyOver(JobState)
    /// There is no such job.
    case notFound
}

/// Who stops a job, and how it ends.
private enum Stop {
    case cancel(CancelMode, actor: String)
    /// The farm itself gives it up, for this reason.
    case giveUp(reason: String)

    var state: JobState {
        switch self {
        case .cancel: .cancelled
        case .giveUp: .failed
        }
    }

    var actor: String {
        switch self {
        case .cancel(_, let actor): actor
        case .giveUp: "farm"
        }
    }

    var event: EventKind {
        switch self {
        case .cancel: .jobCancelled
        case .giveUp: .jobFailed
        }
    }

    var mode: CancelMode? {
        switch self {
        case .cancel(let mode, _): mode
        case .giveUp: nil
        }
    }

    var reason: String? {
        switch self {
        case .cancel: nil
        case .giveUp(let reason): reason
        }
    }
}

extension FarmStore {
    /// Stops a job: what is at a worker is fenced off at once, what is delivered stays.
    ///
    /// The mode is what the workers' next heartbeats say: to end the step that runs, or not even
    /// that.
    package func cancelJob(
        _ id: JobID,
        mode: CancelMode = .now,
        by actor: String
    ) async throws -> CancelOutcome {
        try await stopJob(id, .cancel(mode, actor: actor))
    }

    /// Ends a job that cannot succeed any more: failed, with the reason, and the rest cancelled.
    @discardableResult
    package func giveUpJob(_ id: JobID, reason: String) async throws -> CancelOutcome {
        try await stopJob(id, .giveUp(reason: reason))
    }

    /// Ends the jobs among these, or among all, that have failed as many images as they may, and
    /// returns them.
    ///
    /// To be called after an attempt failed for good, and now and then for what was missed.
    @discardableResult
    package func enforceFailureLimits(of jobs: [JobID]? = nil) async throws -> [JobID] {
        let rows = try await pool.query(
            """
            SELECT id, failed_count - forgiven_count AS failed_count, max_failures FROM job
            WHERE state IN ('pending', 'running', 'paused')
                AND failed_count - forgiven_count >= max_failures
                AND (\(jobs)::uuid[] IS NULL OR id = ANY(\(jobs)::uuid[]))
            ORDER BY id
            """
        )
        var ended: [JobID] = []
        for row in rows {
            let id = try row.decode("id", as: JobID.self)
            let (failed, most) = (
                try row.decode("failed_count", as: Int.self),
                try row.decode("max_failures", as: Int.self)
            )
            let reason = "max_failures: \(failed) images failed, and \(most) may"
            if case .cancelled = try await giveUpJob(id, reason: reason) { ended.append(id) }
        }
        return ended
    }

    private func stopJob(_ id: JobID, _ stop: Stop) async throws -> CancelOutcome {
        try await withRetriedTransaction { connection in
            let heads = try await Self.lockHeads(of: id, on: connection)
            let row = try await connection.query("SELECT state, owner FROM job WHERE id = \(id)")
                .first
            guard let row else { return .notFound }
            let state = try row.decode("state", as: JobState.self)
            if state.isFinal { return .alreadyOver(state) }
            try await Self.unqueue(heads, on: connection)
            let leased = try await cancelLeases(of: id, on: connection)
            try await Self.cancelTasks(of: id, on: connection)
            let images = try await connection.execute(
                """
                UPDATE image SET state = 'cancelled'
                WHERE job_id = \(id) AND state IN ('waiting', 'drafted')
                """
            )
            guard let last = try await Self.lockJob(id, on: connection) else { return .notFound }
            // Its last attempts may have ended before their leases could be locked.
            if last.isFinal { return .alreadyOver(last) }
            try await endJob(id, stop, cancelledImages: images, on: connection)
            connection.afterCommit { [counts] in
                counts.note(.cancelled, leased)
                counts.note(images: images, .cancelled)
            }
            var fields = [
                "job": "\(id)", "owner": try row.decode("owner", as: String.self),
                "by": stop.actor, "images": "\(images)", "leased": "\(leased)",
            ]
            fields["reason"] = stop.reason
            log("Job \(stop.state.rawValue)", fields, on: connection)
            return .cancelled(leased: leased)
        }
    }

    /// Takes every task from under the heads, which are locked: claims that had begun are waited
    /// for, and what they took has its lease when this returns.
    private static func unqueue(_ heads: [Int64], on connection: PostgresConnection) async throws {
        try await connection.execute(
            "DELETE FROM ready WHERE head_id = ANY(\(heads)::bigint[])"
        )
        try await connection.execute(
            "DELETE FROM resting WHERE head_id = ANY(\(heads)::bigint[])"
        )
        try await connection.execute(
            "UPDATE head SET is_empty = true, blocked_by = NULL WHERE id = ANY(\(heads)::bigint[])"
        )
    }

    /// Ends a job's leases with their attempts, charges what was computed so far, and returns how
    /// many there were.
    private func cancelLeases(
        of job: JobID,
        on connection: PostgresConnection
    ) async throws -> Int {
        try await connection.execute(
            "SELECT FROM lease WHERE job_id = \(job) ORDER BY task_id FOR UPDATE"
        )
        return try await connection.execute(
            """
            WITH ended AS (
                DELETE FROM lease WHERE job_id = \(job)
                RETURNING *, cost * least(1, step::double precision / greatest(steps, 1)) AS charge
            ), counted AS (
                UPDATE task SET epoch = ended.epoch, attempts = attempts + 1 FROM ended
                WHERE task.id = ended.task_id
            ), charged AS (
                \(raw: charging("charge", Self.workerSeconds(orBusy: "busy_seconds")))
            )
            INSERT INTO attempt (id, task_id, job_id, worker_id, worker_name, numeric_class, epoch,
                started_at, outcome, cost, steps_computed, conditions_computed, conditions_found,
                busy_seconds)
            SELECT ended.attempt_id, ended.task_id, ended.job_id, ended.worker_id, worker.name,
                worker.numeric_class, ended.epoch, ended.claimed_at, 'cancelled', ended.charge,
                ended.steps_computed, ended.conditions_computed, ended.conditions_found,
                ended.busy_seconds
            FROM ended JOIN worker ON worker.id = ended.worker_id
            """
        )
    }

    private static func cancelTasks(
        of job: JobID,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            DELETE FROM checkpoint USING task
            WHERE task.job_id = \(job) AND checkpoint.task_id = task.id
            """
        )
        try await connection.execute(
            """
            UPDATE task SET state = 'cancelled', finished_at = now()
            WHERE job_id = \(job) AND state IN ('ready', 'drafted')
            """
        )
        // what a person has not decided is not to be decided any more
        try await connection.execute(
            "DELETE FROM draft WHERE job_id = \(job) AND decision IS NULL"
        )
    }

    /// Writes the end of a job whose tasks are over, its event, its webhook and who did it.
    private func endJob(
        _ id: JobID,
        _ stop: Stop,
        cancelledImages: Int,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            UPDATE job SET state = \(stop.state), finished_at = now(), reason = \(stop.reason),
                started_at = CASE WHEN \(stop.state) = 'failed'
                    THEN coalesce(started_at, now()) ELSE started_at END,
                cancelled_count = cancelled_count + \(cancelledImages), live_task_count = 0,
                drafted_count = 0
            WHERE id = \(id)
            """
        )
        var data = EventData()
        data.mode = stop.mode
        data.reason = stop.reason
        try await Self.recordEvent(stop.event, of: id, data, on: connection)
        try await Self.queueWebhook(stop.event, of: id, on: connection)
        try await Self.recordAudit(
            stop.event.rawValue,
            id.description,
            by: stop.actor,
            stop.reason.map { ["reason": $0] } ?? ["mode": stop.mode?.rawValue ?? ""],
            on: connection
        )
        try await Self.notify(.control, id.description, on: connection)
    }

    /// Writes that a job's webhook is to be told of its latest event, which is of this kind.
    static func queueWebhook(
        _ event: EventKind,
        of job: JobID,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            INSERT INTO webhook (job_id, url, body)
            SELECT id, webhook, jsonb_build_object('job', id, 'event', \(event.rawValue)::text,
                'number', event_count)
            FROM job WHERE id = \(job) AND webhook IS NOT NULL
            """
        )
    }
}
