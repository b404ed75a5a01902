package import FarmModel
import Postgres

/// Where an attempt was when it made room, and for what.
struct Parking: Sendable, Hashable {
    /// The index of the image that it was at; nil between two images.
    var image: Int?
    /// How many steps of the image were done.
    var step = 0
    /// How many of them its checkpoint lacks, which are to be computed again.
    var repeatedSteps = 0
    /// The job whose task takes its place; nil where the order was taken back by then.
    var job: JobID?
    /// Whether that is its own owner's.
    var isOwn = false
    /// The model's name.
    var model = ""

    /// The job as its owner may see it.
    var visibleJob: JobID? { isOwn ? job : nil }
}

extension FarmStore {
    /// Ends an attempt that made room for a task of a higher band: its task is ready again, and nothing
    /// counts against it but that it was parked.
    ///
    /// One that was not told to park, or not any more, has given its attempt back. A repeated call is answered
    /// like the first.
    ///
    /// - Parameters:
    ///   - fence: The lease.
    ///   - image: The index of the image that it was at; nil between two images.
    ///   - step: How many of the image's steps were done.
    ///   - totals: What the attempt took.
    /// - Returns: The task's state, or that the lease is over.
    /// - Throws: A ``DatabaseError`` when the database could not answer.
    package func parkAttempt(
        _ fence: AttemptFence,
        image: Int?,
        step: Int?,
        totals: AttemptTotals = AttemptTotals()
    ) async throws -> AttemptOutcome {
        let verdict = try await withRetriedTransaction { connection -> AttemptVerdict? in
            let held = try await lockLeases(of: [fence.task], on: connection).first {
                $0.attempt == fence.attempt && $0.epoch == fence.epoch
            }
            guard let held else { return nil }
            let parking = try await parking(of: fence.task, image, step, on: connection)
            let end = parking.map { AttemptEnd.parked($0) } ?? .released
            return try await conclude([(held, end)], totals, on: connection).first
        }
        guard let verdict else {
            let parked = try await answerRepeated(fence, .parked(Parking()))
            return parked == .stale ? try await answerRepeated(fence, .released) : parked
        }
        return .done(verdict.state)
    }

    /// What there is to say of a lease that is locked and to be parked; nil where it is not to be.
    private func parking(
        of task: TaskID,
        _ image: Int?,
        _ step: Int?,
        on connection: PostgresConnection
    ) async throws -> Parking? {
        let row = try await connection.query(
            """
            SELECT job.model_name, coalesce(checkpoint.step, 0) AS kept, lease.steps,
                lease.park_for IS NOT NULL AS is_told, taking.job_id AS taking,
                coalesce(other.owner = lease.owner, false) AS is_own
            FROM lease JOIN job ON job.id = lease.job_id
            LEFT JOIN checkpoint ON checkpoint.task_id = lease.task_id
                AND checkpoint.image_index = \(image?.asRowCount)
            LEFT JOIN task AS taking ON taking.id = lease.park_for
            LEFT JOIN job AS other ON other.id = taking.job_id
            WHERE lease.task_id = \(task)
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the lease that was just locked") }
        guard try row.decode("is_told") else { return nil }
        // no more than there are, whatever the worker says
        let steps = try max(0, row.decode("steps", as: Int.self))
        let done = image == nil ? 0 : min(max(0, step ?? 0), steps)
        return Parking(
            image: image,
            step: done,
            repeatedSteps: try max(0, done - row.decode("kept", as: Int.self)),
            job: try row.decodeIfPresent("taking"),
            isOwn: try row.decode("is_own"),
            model: try row.decode("model_name")
        )
    }

    /// Writes that a task was parked: on the task, and for operators, who see for which job in any case.
    func notePark(
        of lease: EndingLease,
        _ parking: Parking,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            "UPDATE task SET parks = parks + 1 WHERE id = \(lease.task)"
        )
        var detail = [
            "job": "\(lease.job)", "worker": lease.workerName, "step": "\(parking.step)",
            "repeated_steps": "\(parking.repeatedSteps)",
        ]
        if let image = parking.image { detail["image"] = "\(image)" }
        if let job = parking.job { detail["for"] = "\(job)" }
        try await Self.recordAudit(
            "task.parked",
            lease.task.description,
            by: "farm",
            detail,
            on: connection
        )
        connection.afterCommit { [counts] in counts.note(parking) }
    }
}

extension ParkedView {
    /// Reads where an attempt was parked; nil where it was not.
    init?(_ row: Row) throws {
        guard let step = try row.decodeIfPresent("parked_step", as: Int.self) else { return nil }
        self.init(
            image: try row.decodeIfPresent("parked_image"),
            step: step,
            job: try row.decodeIfPresent("parked_for")
        )
    }
}
