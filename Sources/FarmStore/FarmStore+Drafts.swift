package import FarmModel
import Postgres

/// A draft that a worker made of an image.
package struct DraftRecord: Sendable, Hashable {
    /// The image's index in its job.
    package var imageIndex: Int
    /// After how many steps it was made, and how many the image has.
    package var step: Int
    package var steps: Int
    /// Its picture.
    package var digest: String
    package var size: Int64
    package var type: DraftPictureType

    package init(
        imageIndex: Int,
        step: Int,
        steps: Int,
        digest: String,
        size: Int64,
        type: DraftPictureType
    ) {
        self.imageIndex = imageIndex
        self.step = step
        self.steps = steps
        self.digest = digest
        self.size = size
        self.type = type
    }
}

/// What became of a draft.
package enum DraftOutcome: Sendable, Hashable {
    /// The attempt is over, and its task stands so.
    case done(TaskState)
    /// The lease is over.
    case stale
    /// The task has no such image that is still to be rendered.
    case unknownImage
    /// No draft of that step is wanted of the image: another, where there is one, or none.
    case unwanted(wanted: Int?)
    /// The image's checkpoint is of another step; nil where it has none.
    case noCheckpoint(kept: Int?)
}

extension FarmStore {
    /// Ends an attempt that reached the step of its image's draft: the image waits for a person.
    ///
    /// The picture is stored before, and so is the checkpoint of that step, without which nothing could go
    /// on. A repeated call is answered like the first.
    ///
    /// - Parameters:
    ///   - fence: The lease.
    ///   - draft: What was made.
    ///   - totals: What the attempt took.
    /// - Returns: What became of it.
    /// - Throws: A ``DatabaseError`` when the database could not answer.
    package func draftAttempt(
        _ fence: AttemptFence,
        _ draft: DraftRecord,
        totals: AttemptTotals = AttemptTotals()
    ) async throws -> DraftOutcome {
        let outcome = try await withRetriedTransaction { connection -> DraftOutcome in
            func held() async throws -> EndingLease? {
                try await lockLeases(of: [fence.task], on: connection).first {
                    $0.attempt == fence.attempt && $0.epoch == fence.epoch
                }
            }
            guard let lease = try await held() else { return .stale }
            guard lease.scope.todo == [draft.imageIndex] else { return .unknownImage }
            if let refusal = try await refusal(of: draft, of: fence.task, on: connection) {
                return refusal
            }
            // it is charged for these steps, whatever the last heartbeat said
            try await connection.execute(
                """
                UPDATE lease SET step = \(draft.step), steps = \(draft.steps)
                WHERE task_id = \(fence.task)
                """
            )
            guard let lease = try await held() else {
                throw FarmStoreError.vanished("the lease that was just locked")
            }
            let verdicts = try await conclude([(lease, .drafted(draft))], totals, on: connection)
            return .done(verdicts.first?.state ?? .drafted)
        }
        guard outcome == .stale else { return outcome }
        switch try await answerRepeated(fence, .drafted(draft)) {
        case .done(let state): return .done(state)
        case .stale, .incomplete: return .stale
        }
    }

    /// Why a draft is not taken of a task whose lease is locked; nil where it is.
    private func refusal(
        of draft: DraftRecord,
        of task: TaskID,
        on connection: PostgresConnection
    ) async throws -> DraftOutcome? {
        let wanted = try await Self.draftSteps(of: task, on: connection)
        guard wanted == draft.step else { return .unwanted(wanted: wanted) }
        let kept = try await connection.query(
            """
            SELECT step FROM checkpoint
            WHERE task_id = \(task) AND image_index = \(draft.imageIndex)
            """
        ).first?.decode("step", as: Int.self)
        return kept == draft.step ? nil : .noCheckpoint(kept: kept)
    }

    /// After how many steps the image of a task is to wait; nil where it is to be finished, because its job
    /// makes no drafts or a person has kept this one.
    package func draftSteps(of task: TaskID) async throws -> Int? {
        try await pool.withConnection { try await Self.draftSteps(of: task, on: $0) }
    }

    private static func draftSteps(
        of task: TaskID,
        on connection: PostgresConnection
    ) async throws -> Int? {
        try await connection.query(
            """
            SELECT job.draft_steps FROM task JOIN job ON job.id = task.job_id
            WHERE task.id = \(task) AND NOT EXISTS (
                SELECT FROM image JOIN draft ON draft.image_id = image.id
                WHERE image.job_id = task.job_id AND image.index = task.first_index
                    AND draft.decision = 'kept'
            )
            """
        ).first?.decodeIfPresent("draft_steps")
    }

    /// Writes that the image of a lease, which is locked, waits with a draft, and returns the image.
    func writeDraft(
        _ draft: DraftRecord,
        of lease: EndingLease,
        on connection: PostgresConnection
    ) async throws -> ImageID {
        let row = try await connection.query(
            """
            WITH drafted AS (
                UPDATE image SET state = 'drafted'
                WHERE job_id = \(lease.job) AND index = \(draft.imageIndex)
                    AND task_id = \(lease.task) AND state = 'waiting'
                RETURNING id
            )
            INSERT INTO draft (image_id, job_id, task_id, step, digest, size, media_type, attempt_id)
            SELECT id, \(lease.job), \(lease.task), \(draft.step), \(draft.digest), \(draft.size),
                \(draft.type.mediaType), \(lease.attempt) FROM drafted
            ON CONFLICT (image_id) DO UPDATE SET step = excluded.step, digest = excluded.digest,
                size = excluded.size, media_type = excluded.media_type,
                attempt_id = excluded.attempt_id, drafted_at = now()
            RETURNING image_id
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the image that was just rendered") }
        return try row.decode("image_id")
    }

    /// Notes that a worker did something well.
    func noteSuccess(of worker: WorkerID, on connection: PostgresConnection) async throws {
        try await connection.execute(
            """
            UPDATE worker SET failures_in_a_row = 0
            WHERE id = \(worker) AND failures_in_a_row > 0
            """
        )
    }
}
