package import FarmModel
import Postgres

/// A picture, or the wish to end an attempt, under a fence.
struct Delivery: Sendable {
    let fence: AttemptFence
    /// The image and its bytes; nil only ends the attempt.
    let image: (index: Int, output: DeliveredOutput)?
    /// Ends the attempt when no image is left; nil leaves it running.
    let totals: AttemptTotals?
}

/// What the database says of a delivery.
struct DeliveryEcho: Sendable {
    /// Whether the lease is current.
    let isCurrent: Bool
    /// Whether the image was delivered now.
    let isNew: Bool
    /// The task's state, the images it still lacks, and whether they are claimed one at a time; nil
    /// when the lease is not current.
    let task: (state: TaskState, undelivered: Int, isNarrow: Bool)?
    /// Its job and worker, and how the job ended by it; nil when the lease is not current.
    let job: (id: JobID, owner: String, worker: WorkerID, end: JobState?)?
}

extension FarmStore {
    /// Marks an image delivered, once, while the lease of its attempt is current.
    ///
    /// The bytes are stored before; what is stored by a stale attempt is left for the sweep of
    /// blobs. With `totals` the attempt ends with the task's last image, in the same statement. A
    /// repeated delivery is answered like the first. Calls that come together share a statement.
    package func deliverImage(
        _ fence: AttemptFence,
        imageIndex: Int,
        output: DeliveredOutput,
        final totals: AttemptTotals? = nil
    ) async throws -> DeliverOutcome {
        let delivery = Delivery(fence: fence, image: (imageIndex, output), totals: totals)
        let echo = try await deliveries.answer(to: delivery) { try await deliver($0) }
        if echo.isNew, let task = echo.task {
            return .delivered(task.state.isFinal ? task.state : nil)
        }
        return try await answerUndelivered(delivery, imageIndex, isCurrent: echo.isCurrent)
    }

    /// Ends an attempt that delivered every image that was claimed.
    ///
    /// A repeated call is answered like the first. Calls that come together share a statement.
    package func completeAttempt(
        _ fence: AttemptFence,
        totals: AttemptTotals = AttemptTotals()
    ) async throws -> AttemptOutcome {
        let delivery = Delivery(fence: fence, image: nil, totals: totals)
        let echo = try await deliveries.answer(to: delivery) { try await deliver($0) }
        guard let task = echo.task else { return try await answerRepeated(fence, .succeeded) }
        guard task.undelivered > 0 else { return .done(task.state) }
        if task.isNarrow,
            let verdict = try await conclude(fence, .succeeded, totals, delivered: 1)
        {
            return .done(verdict.state)
        }
        return .incomplete(undelivered: task.undelivered)
    }

    /// Answers a delivery that changed nothing: because it was made before, or is not to be.
    private func answerUndelivered(
        _ delivery: Delivery,
        _ index: Int,
        isCurrent: Bool
    ) async throws -> DeliverOutcome {
        let row = try await pool.query(
            """
            SELECT output.digest FROM task
            JOIN image ON image.job_id = task.job_id AND image.index = \(index)
                AND image.task_id = task.id
            LEFT JOIN output ON output.image_id = image.id
                AND output.attempt_id = \(delivery.fence.attempt)
            WHERE task.id = \(delivery.fence.task)
            """
        ).first
        guard let row else { return isCurrent ? .unknownImage : .stale }
        guard let digest = try row.decodeIfPresent("digest", as: String.self) else { return .stale }
        guard isCurrent, let totals = delivery.totals else {
            return .alreadyDelivered(digest: digest)
        }
        // The first delivery did not end the attempt, this one is to.
        _ = try await completeAttempt(delivery.fence, totals: totals)
        return .alreadyDelivered(digest: digest)
    }

    /// Writes deliveries of any tasks: what is current counts, with its events and counters, and an
    /// attempt that is to end and has no image left ends in success.
    private func deliver(
        _ batch: [Delivery]
    ) async throws -> [Result<DeliveryEcho, any Error>] {
        let rows = try await pool.query(deliverStatement(batch), for: "delivery")
        let echoes = try rows.map { row in
            let state = try row.decodeIfPresent("state", as: TaskState.self)
            return DeliveryEcho(
                isCurrent: try row.decode("is_current"),
                isNew: try row.decode("is_new"),
                task: try state.map {
                    ($0, try row.decode("undelivered"), try row.decode("is_narrow"))
                },
                job: try row.decodeIfPresent("owner", as: String.self).map {
                    (
                        id: try row.decode("job_id"), owner: $0,
                        worker: try row.decode("worker_id"),
                        end: try row.decode("is_over")
                            ? try row.decode("job_state", as: JobState.self) : nil
                    )
                }
            )
        }
        count(echoes, of: batch)
        log(echoes, of: batch)
        return echoes.map { .success($0) }
    }

    private func count(_ echoes: [DeliveryEcho], of batch: [Delivery]) {
        counts.note(images: echoes.count(where: \.isNew), .delivered)
        // Several deliveries of a task tell of its one end.
        let ended = zip(echoes, batch).filter { $0.0.task?.state.isFinal == true }
        counts.note(.succeeded, Set(ended.map(\.1.fence.task)).count)
    }
}
