package import FarmModel
import Postgres

/// What became of a person's decision on drafts.
package enum DecisionOutcome: Sendable, Hashable {
    /// So many drafts were decided now; others that are asked for were decided so before.
    case decided(images: Int)
    /// Nothing is changed, because this image is no draft and was not decided so.
    case refused(index: Int, ImageState, DraftDecision?)
    /// There is no such job.
    case notFound
}

extension FarmStore {
    /// Lets drafts go on from their checkpoints: those of the given indices, or all that wait.
    ///
    /// Whether its job is paused or not, what is kept is in the queue then. A repeated call changes nothing.
    ///
    /// - Parameters:
    ///   - job: Whose.
    ///   - indices: The images' indices; nil for all drafts that wait now.
    ///   - actor: Who keeps them.
    /// - Returns: How many, or what is no draft.
    /// - Throws: A ``DatabaseError`` when the database could not answer.
    package func keepDrafts(
        of job: JobID,
        images indices: [Int]? = nil,
        by actor: String
    ) async throws -> DecisionOutcome {
        defer { desk.expire() }
        return try await withRetriedTransaction { connection in
            let choice = try await choose(.kept, of: job, indices, on: connection)
            guard case .tasks(let tasks) = choice else { return choice.refusal }
            guard !tasks.isEmpty else { return .decided(images: 0) }
            let images = try await Self.write(.kept, on: tasks, of: job, on: connection)
            try await connection.execute(
                """
                UPDATE task SET state = 'ready', undelivered = 1 WHERE id = ANY(\(tasks)::uuid[])
                """
            )
            _ = try await Self.lockJob(job, on: connection)
            try await connection.execute(
                "UPDATE job SET drafted_count = drafted_count - \(images.count) WHERE id = \(job)"
            )
            try await queueTasks(tasks, restUntil: nil, on: connection)
            try await Self.note(.draftsKept, images, of: job, by: actor, on: connection)
            return .decided(images: images.count)
        }
    }

    /// Cancels drafts: those of the given indices, or all that wait; their pictures and checkpoints are kept
    /// no longer.
    ///
    /// A job of which nothing else is left ends: as cancelled where nothing of it was delivered, and a drop
    /// makes none fail. A repeated call changes nothing.
    ///
    /// - Parameters:
    ///   - job: Whose.
    ///   - indices: The images' indices; nil for all drafts that wait now.
    ///   - actor: Who drops them.
    /// - Returns: How many, or what is no draft.
    /// - Throws: A ``DatabaseError`` when the database could not answer.
    package func dropDrafts(
        of job: JobID,
        images indices: [Int]? = nil,
        by actor: String
    ) async throws -> DecisionOutcome {
        try await drop(.dropped, of: job, indices, by: actor)
    }

    /// Drops the drafts that nobody has decided for so long; part of the retention duty.
    ///
    /// - Parameter age: How long a draft waits.
    /// - Returns: How many were dropped.
    /// - Throws: A ``DatabaseError`` when the database could not answer.
    func expireDrafts(after age: Duration) async throws -> Int {
        let jobs = try await pool.query(
            """
            SELECT DISTINCT draft.job_id FROM draft JOIN task ON task.id = draft.task_id
            WHERE draft.decision IS NULL AND task.state = 'drafted'
                AND draft.drafted_at < now() - make_interval(secs => \(age.inSeconds))
            ORDER BY draft.job_id
            """
        )
        var count = 0
        for row in jobs {
            let job = try row.decode("job_id", as: JobID.self)
            let outcome = try await drop(.expired, of: job, nil, by: "farm", olderThan: age)
            if case .decided(let images) = outcome { count += images }
        }
        return count
    }

    private func drop(
        _ decision: DraftDecision,
        of job: JobID,
        _ indices: [Int]?,
        by actor: String,
        olderThan age: Duration? = nil
    ) async throws -> DecisionOutcome {
        try await withRetriedTransaction { connection in
            let choice = try await choose(decision, of: job, indices, age, on: connection)
            guard case .tasks(let tasks) = choice else { return choice.refusal }
            guard !tasks.isEmpty else { return .decided(images: 0) }
            try await connection.execute(
                """
                UPDATE task SET state = 'cancelled', finished_at = now()
                WHERE id = ANY(\(tasks)::uuid[])
                """
            )
            let images = try await Self.write(decision, on: tasks, of: job, on: connection)
            try await connection.execute(
                "DELETE FROM checkpoint WHERE task_id = ANY(\(tasks)::uuid[])"
            )
            let end = try await Self.settle(job, dropped: images.count, on: connection)
            try await Self.note(.draftsDropped, images, of: job, by: actor, on: connection)
            if let end { try await Self.tellEnd(end, of: job, on: connection) }
            connection.afterCommit { [counts] in counts.note(images: images.count, .cancelled) }
            return .decided(images: images.count)
        }
    }

    // MARK: - What is decided

    /// The drafts that a decision is about.
    private enum Choice {
        case tasks([TaskID])
        case refused(DecisionOutcome)

        var refusal: DecisionOutcome {
            switch self {
            case .tasks: .notFound
            case .refused(let outcome): outcome
            }
        }
    }

    /// Locks a job's heads and the tasks of its drafts, those of the given indices or all.
    private func choose(
        _ decision: DraftDecision,
        of job: JobID,
        _ indices: [Int]?,
        _ age: Duration? = nil,
        on connection: PostgresConnection
    ) async throws -> Choice {
        guard !(try await Self.lockHeads(of: job, on: connection)).isEmpty else {
            return .refused(.notFound)
        }
        let tasks = try await connection.query(
            """
            SELECT id FROM task WHERE job_id = \(job) AND state = 'drafted'
                AND (\(indices)::integer[] IS NULL OR first_index = ANY(\(indices)::integer[]))
                AND (\(age?.inSeconds)::double precision IS NULL OR EXISTS (
                    SELECT FROM draft WHERE draft.task_id = task.id
                        AND draft.drafted_at < now() - make_interval(secs => \(age?.inSeconds))
                ))
            ORDER BY id FOR NO KEY UPDATE
            """
        ).map { try $0.decode("id", as: TaskID.self) }
        guard let indices else { return .tasks(tasks) }
        let others = try await connection.query(
            """
            SELECT image.index, draft.decision, CASE WHEN image.state = 'waiting' AND EXISTS (
                    SELECT FROM lease WHERE lease.task_id = image.task_id
                ) THEN 'rendering' ELSE image.state END AS state
            FROM image LEFT JOIN draft ON draft.image_id = image.id
            WHERE image.job_id = \(job) AND image.index = ANY(\(indices)::integer[])
                AND image.task_id <> ALL(\(tasks)::uuid[])
            ORDER BY image.index
            """
        )
        for row in others {
            let before = try row.decodeIfPresent("decision", as: DraftDecision.self)
            let isSame = before.map { ($0 == .kept) == (decision == .kept) } ?? false
            guard isSame else {
                return .refused(
                    .refused(
                        index: try row.decode("index"),
                        try row.decode("state"),
                        before
                    )
                )
            }
        }
        return .tasks(tasks)
    }

    /// Writes a decision on the images of tasks, which are locked, and returns their indices.
    private static func write(
        _ decision: DraftDecision,
        on tasks: [TaskID],
        of job: JobID,
        on connection: PostgresConnection
    ) async throws -> [Int] {
        let isKept = decision == .kept
        return try await connection.query(
            """
            WITH decided AS (
                UPDATE image SET state = \(isKept ? ImageState.waiting : .cancelled)
                WHERE job_id = \(job) AND task_id = ANY(\(tasks)::uuid[]) AND state = 'drafted'
                RETURNING id, index
            ), noted AS (
                UPDATE draft SET decision = \(decision), decided_at = now(),
                    digest = CASE WHEN \(isKept)::boolean THEN digest END
                FROM decided WHERE draft.image_id = decided.id
            )
            SELECT index FROM decided ORDER BY index
            """
        ).map { try $0.decode("index") }
    }

    /// Changes a job's counters for drafts that were dropped, and ends it with the last of its tasks.
    ///
    /// - Returns: How it ended; nil while it has not.
    private static func settle(
        _ job: JobID,
        dropped count: Int,
        on connection: PostgresConnection
    ) async throws -> JobState? {
        _ = try await lockJob(job, on: connection)
        let row = try await connection.query(
            """
            UPDATE job SET drafted_count = drafted_count - \(count),
                cancelled_count = cancelled_count + \(count),
                dropped_count = dropped_count + \(count),
                live_task_count = live_task_count - \(count),
                state = CASE WHEN live_task_count > \(count) THEN state
                    WHEN failed_count + cancelled_count > dropped_count THEN 'failed'
                    WHEN delivered_count = 0 THEN 'cancelled' ELSE 'succeeded' END,
                finished_at = CASE WHEN live_task_count = \(count) THEN now() ELSE finished_at END
            WHERE id = \(job) RETURNING state
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the job that was just locked") }
        let state = try row.decode("state", as: JobState.self)
        return state.isFinal ? state : nil
    }

    private static func tellEnd(
        _ state: JobState,
        of job: JobID,
        on connection: PostgresConnection
    ) async throws {
        let event: EventKind =
            switch state {
            case .failed: .jobFailed
            case .cancelled: .jobCancelled
            default: .jobSucceeded
            }
        try await recordEvent(event, of: job, on: connection)
        try await queueWebhook(event, of: job, on: connection)
    }

    /// Writes who decided what, and the event.
    private static func note(
        _ event: EventKind,
        _ images: [Int],
        of job: JobID,
        by actor: String,
        on connection: PostgresConnection
    ) async throws {
        var data = EventData()
        data.count = images.count
        data.indices = images
        try await recordEvent(event, of: job, data, on: connection)
        try await recordAudit(
            event.rawValue,
            job.description,
            by: actor,
            ["images": ImageIndices.text(of: images)],
            on: connection
        )
    }
}
