import FarmClient
import FarmModel
import Logging
import Tracing

/// Tells the coordinator what the render loop has done, in its order, while that goes on.
///
/// A coordinator that is away is waited for; a lease that turns out to be over drops the attempt.
struct DeliveryLoop: Sendable {
    let worker: WorkerContext
    let presence: Presence

    /// Returns when everything is told, or when a worker that ends has waited long enough.
    func run() async throws {
        while let parcel = try await worker.desk.nextParcel() {
            do {
                try await tell(parcel)
            } catch let error as FarmClientError where error.isStale {
                await worker.lose(parcel.attempt)
            } catch {
                try Task.checkCancellation()
                await giveUp(parcel, error)
            }
            if case .picture(let picture, _, _) = parcel.content { worker.spool.forget(picture) }
        }
    }

    private func tell(_ parcel: Parcel) async throws {
        let attempt = parcel.attempt
        switch parcel.content {
        case .picture(let picture, let image, let isFinal):
            try await deliver(picture, image, attempt, isFinal: isFinal)
        case .checkpoint(let checkpoint): try await save(checkpoint, attempt)
        case .condition(let key, let bytes):
            await worker.conditions.save(bytes, as: key, worker.logger(of: attempt))
            if worker.desk.registration?.has(.artifacts) ?? true {
                try await worker.calls.putArtifact(bytes, as: key, attempt.fence)
            }
        case .end(let end):
            await presence.tellLog(of: attempt)
            try await finish(end, attempt)
        }
    }

    // MARK: - Pictures

    private func deliver(
        _ picture: SpooledPicture,
        _ image: Int,
        _ attempt: HeldAttempt,
        isFinal: Bool
    ) async throws {
        if isFinal { await presence.tellLog(of: attempt) }
        let bytes = try worker.spool.bytes(of: picture)
        let endsAttempt = isFinal && worker.desk.registration?.has(.finalDelivery) ?? false
        if endsAttempt { attempt.beginEnding() }
        let request = DeliveryRequest(
            fence: attempt.fence,
            imageIndex: image,
            isFinal: endsAttempt,
            report: endsAttempt ? attempt.report : nil,
            digest: worker.desk.registration?.has(.deliveryDigest) ?? false
                ? BlobDigest(of: bytes) : nil
        )
        let answer = try await attempt.trace.span("upload", .client, image: image) {
            try await untilAnswered("deliver", attempt) {
                try await worker.calls.deliver(bytes, request)
            }
        }
        guard let answer else { return await leave(attempt) }
        worker.ledger.count { $0.delivered += 1 }
        worker.logger(of: attempt).info("Delivered", metadata: ["image": "\(image)"])
        guard isFinal else { return }
        if answer.task == nil {
            try await finish(.completed, attempt)
        } else {
            conclude(.completed, attempt, attempt.report)
        }
    }

    // MARK: - Checkpoints

    private func save(_ checkpoint: SavedCheckpoint, _ attempt: HeldAttempt) async throws {
        guard worker.desk.registration?.has(.checkpoints) ?? true else { return }
        let request = CheckpointRequest(
            fence: attempt.fence,
            imageIndex: checkpoint.image,
            step: checkpoint.step,
            numericClass: worker.renderer.model.numericClass
        )
        let answer = try await attempt.trace.span("checkpoint", .client, image: checkpoint.image) {
            try await untilAnswered("checkpoint", attempt) {
                try await worker.calls.saveCheckpoint(checkpoint.bytes, request)
            }
        }
        if answer != nil { worker.ledger.count { $0.checkpoints += 1 } }
    }

    // MARK: - Ends

    private func finish(_ end: AttemptEnd, _ attempt: HeldAttempt) async throws {
        let report = attempt.report
        attempt.beginEnding()
        let answer = try await attempt.trace.span("report", .client) {
            try await tell(end, of: attempt, report)
        }
        guard answer != nil else { return await leave(attempt) }
        conclude(end, attempt, report)
    }

    /// Lets an attempt go whose end is told.
    private func conclude(_ end: AttemptEnd, _ attempt: HeldAttempt, _ report: AttemptReport) {
        note(end, report)
        attempt.trace.note(end)
        log(end, attempt)
        worker.drop(attempt)
    }

    /// Tells how an attempt ended; nil where nobody answers in time.
    private func tell(
        _ end: AttemptEnd,
        of attempt: HeldAttempt,
        _ report: AttemptReport
    ) async throws -> AttemptAnswer? {
        try await untilAnswered("end of attempt", attempt) {
            switch end {
            case .completed:
                try await worker.calls.complete(
                    AttemptRequest(fence: attempt.fence, report: report)
                )
            case .failed(let failure):
                try await worker.calls.fail(
                    FailureRequest(
                        fence: attempt.fence,
                        failureClass: failure.failureClass,
                        message: failure.message,
                        image: failure.image,
                        report: report
                    )
                )
            case .released(let reason):
                try await worker.calls.release(
                    AttemptRequest(fence: attempt.fence, report: report, reason: reason)
                )
            case .parked(let image, let step):
                try await park(attempt, report, image, step)
            case .drafted(let checkpoint, let picture):
                try await worker.calls.draft(
                    picture.data,
                    DraftRequest(
                        fence: attempt.fence,
                        imageIndex: checkpoint.image,
                        step: checkpoint.step,
                        type: picture.type,
                        report: report
                    )
                )
            }
        }
    }

    private func log(_ end: AttemptEnd, _ attempt: HeldAttempt) {
        let logger = worker.logger(of: attempt)
        switch end {
        case .completed: logger.info("Completed")
        case .failed(let failure):
            logger.info(
                "Failed",
                metadata: ["class": "\(failure.failureClass)", "error": "\(failure.message)"]
            )
        case .released(let reason):
            logger.info("Released", metadata: ["reason": "\(reason.rawValue)"])
        case .parked: logger.info("Parked")
        case .drafted(let checkpoint, _):
            logger.info(
                "Drafted",
                metadata: ["image": "\(checkpoint.image)", "step": "\(checkpoint.step)"]
            )
        }
    }

    private func park(
        _ attempt: HeldAttempt,
        _ report: AttemptReport,
        _ image: Int?,
        _ step: Int?
    ) async throws -> AttemptAnswer {
        var request = AttemptRequest(fence: attempt.fence, report: report, reason: .parked)
        request.image = image
        request.step = step
        return try await worker.calls.release(request)
    }

    private func note(_ end: AttemptEnd, _ report: AttemptReport) {
        switch end {
        case .completed, .drafted:
            worker.ledger.count { $0.succeeded += 1 }
            worker.ledger.note { $0.usefulSeconds += report.seconds }
        case .failed:
            worker.ledger.count { $0.failed += 1 }
            worker.ledger.note { $0.lostToFailureSeconds += report.seconds }
        case .released(let reason):
            worker.ledger.count { $0.released += 1 }
            // What a group lost with a member was noted as lost to failure where it stopped.
            guard reason != .groupLost else { return }
            worker.ledger.note { $0.lostToPreemptionSeconds += report.seconds }
        case .parked:
            worker.ledger.count { $0.parked += 1 }
            // its checkpoint keeps what it computed
            worker.ledger.note { $0.usefulSeconds += report.seconds }
        }
    }

    // MARK: - When it cannot be told

    private func untilAnswered<Answer: Sendable>(
        _ name: String,
        _ attempt: HeldAttempt,
        _ call: () async throws -> Answer
    ) async throws -> Answer? {
        try await worker.retrying.untilAnswered(
            name,
            unless: { worker.desk.isGraceOver || attempt.stop.map { $0 >= .abandon } ?? false },
            call
        )
    }

    /// Leaves an attempt to its lease, because the worker ends and nobody answers.
    private func leave(_ attempt: HeldAttempt) async {
        guard attempt.stop != .lost else { return await worker.lose(attempt) }
        worker.logger(of: attempt).warning("Left an attempt to its lease; nobody answered")
        worker.drop(attempt)
    }

    /// Goes on after a refusal that does not pass.
    private func giveUp(_ parcel: Parcel, _ error: any Error) async {
        let attempt = parcel.attempt
        worker.logger(of: attempt).error("Refused", metadata: ["error": "\(error)"])
        switch parcel.content {
        case .picture(_, let image, _):
            await fail(attempt, image, "the picture was not taken", error)
        case .end(.drafted(let checkpoint, _)):
            await fail(attempt, checkpoint.image, "the draft was not taken", error)
        case .checkpoint, .condition: break
        case .end: worker.drop(attempt)
        }
    }

    /// Ends an attempt whose bytes were refused.
    private func fail(
        _ attempt: HeldAttempt,
        _ image: Int,
        _ what: String,
        _ error: any Error
    ) async {
        // The rest of the attempt is stopped; its end says why.
        attempt.stop(.lost)
        let failure = RenderFailure(describing: error)
        attempt.trace.note(.failed(failure))
        worker.drop(attempt)
        _ = try? await worker.calls.fail(
            FailureRequest(
                fence: attempt.fence,
                failureClass: failure.failureClass,
                message: "\(what): \(error)",
                image: image,
                report: attempt.report
            )
        )
    }
}
