package import FarmModel
import Postgres

/// A task under a current lease, its row locked.
struct HeldTask: Sendable {
    let id: TaskID
    let job: JobID
    let attempt: AttemptID
    let tally: FailureTally
    let undelivered: Int

    /// The columns of a `HeldTask`; the rest of the statement follows.
    ///
    /// The images are counted by a statement of its own when the lock is held: this one's view of
    /// them may be older than the lock.
    static let select = """
        SELECT id, job_id, attempt_id, failures, lapses, max_attempts FROM task
        """

    init(_ row: Row, on connection: PostgresConnection) async throws {
        id = try row.decode("id")
        job = try row.decode("job_id")
        attempt = try row.decode("attempt_id")
        tally = FailureTally(
            failures: try row.decode("failures"),
            lapses: try row.decode("lapses"),
            maxAttempts: try row.decode("max_attempts")
        )
        undelivered =
            try await connection.query(
                """
                SELECT count(*) AS n FROM image
                WHERE task_id = \(id) AND state IN ('waiting', 'rendering')
                """
            ).first?.decode("n") ?? 0
    }
}

extension FarmStore {
    /// Ends an attempt that delivered every image.
    ///
    /// A repeated call is answered like the first.
    package func completeAttempt(_ fence: AttemptFence) async throws -> AttemptOutcome {
        try await endAttempt(fence, .succeeded)
    }

    /// Ends an attempt that failed: its task is tried again, or failed for good with the reason.
    ///
    /// A repeated call is answered like the first.
    package func failAttempt(
        _ fence: AttemptFence,
        failure: AttemptFailure
    ) async throws -> AttemptOutcome {
        try await endAttempt(fence, .failed(failure))
    }

    /// Ends an attempt that its worker gives back unharmed; nothing counts against the task.
    ///
    /// A repeated call is answered like the first.
    package func releaseAttempt(_ fence: AttemptFence) async throws -> AttemptOutcome {
        try await endAttempt(fence, .released)
    }

    private func endAttempt(
        _ fence: AttemptFence,
        _ end: AttemptEnd
    ) async throws -> AttemptOutcome {
        try await pool.withTransaction { connection in
            let row = try await connection.query(
                """
                \(raw: HeldTask.select)
                WHERE id = \(fence.task) AND state = 'leased' AND attempt_id = \(fence.attempt)
                    AND epoch = \(fence.epoch)
                FOR NO KEY UPDATE
                """
            ).first
            guard let row else { return try await answerRepeated(fence, end, on: connection) }
            let task = try await HeldTask(row, on: connection)
            if end == .succeeded, task.undelivered > 0 {
                return .incomplete(undelivered: task.undelivered)
            }
            let state = try await conclude(task, end, on: connection).state
            try await Self.settleJobs([task.job], on: connection)
            return .done(state)
        }
    }

    /// Answers the end of an attempt that is over: by the same call before, or otherwise.
    private func answerRepeated(
        _ fence: AttemptFence,
        _ end: AttemptEnd,
        on connection: PostgresConnection
    ) async throws -> AttemptOutcome {
        let row = try await connection.query(
            """
            SELECT task.state FROM attempt JOIN task ON task.id = attempt.task_id
            WHERE attempt.id = \(fence.attempt) AND attempt.task_id = \(fence.task)
                AND attempt.epoch = \(fence.epoch) AND attempt.outcome = \(end.outcome)
            """
        ).first
        return try row.map { .done(try $0.decode("state")) } ?? .stale
    }

    /// Writes the end of an attempt: the attempt, its task and its undelivered images.
    ///
    /// The task's row is locked and leased; the caller settles its job afterwards.
    func conclude(
        _ task: HeldTask,
        _ end: AttemptEnd,
        on connection: PostgresConnection
    ) async throws -> (state: TaskState, verdict: AttemptVerdict) {
        let verdict = AttemptVerdict(
            end,
            undelivered: task.undelivered,
            tally: task.tally,
            configuration: configuration
        )
        guard let state = TaskState.leased.state(after: verdict.event) else {
            preconditionFailure("A leased task knows no event \(verdict.event)")
        }
        try await connection.execute(
            """
            UPDATE attempt SET finished_at = now(), outcome = \(end.outcome),
                failure_class = \(end.failure?.failureClass),
                failure_message = \(end.failure?.message)
            WHERE id = \(task.attempt)
            """
        )
        try await connection.execute(
            """
            UPDATE task SET state = \(state), failures = \(verdict.tally.failures),
                lapses = \(verdict.tally.lapses),
                ready_at = now() + make_interval(secs => \(verdict.backoff.inSeconds)),
                finished_at = CASE WHEN \(state.isFinal)::boolean THEN now() END,
                failure_class = \(verdict.failure?.failureClass),
                failure_message = \(verdict.failure?.message),
                attempt_id = NULL, worker_id = NULL, lease_deadline = NULL
            WHERE id = \(task.id)
            """
        )
        // A task that succeeded has no image left that is being rendered.
        let image = state == .failed ? ImageState.failed : .waiting
        try await connection.execute(
            """
            UPDATE image SET state = \(image),
                failure_class = CASE WHEN \(image == .failed)::boolean
                    THEN \(verdict.failure?.failureClass)::text END,
                failure_message = CASE WHEN \(image == .failed)::boolean
                    THEN \(verdict.failure?.message)::text END
            WHERE task_id = \(task.id) AND state = 'rendering'
            """
        )
        return (state, verdict)
    }
}
