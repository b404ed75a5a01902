import FarmModel
import FoundationEssentials
import Logging

/// Renders prepared tasks, one image at a time, and lays the pictures out for delivery.
struct RenderLoop: Sendable {
    let worker: WorkerContext

    /// Returns when no more tasks will come.
    func run() async throws {
        defer { worker.desk.endRendering() }
        while let task = try await worker.desk.nextTask() {
            let result = await Result { try await perform(task) }
            await worker.preparation.letGo(task)
            worker.desk.endTask()
            try result.get()
        }
    }

    /// Renders every image of a task.
    private func perform(_ task: PreparedTask) async throws {
        let attempt = task.attempt
        let images = attempt.task.images
        for (position, image) in images.enumerated() {
            try await worker.desk.waitForRoom()
            let isDraining = position > 0 && worker.desk.drain != nil
            if let reason = attempt.stop ?? (isDraining ? .drain : nil) {
                return try await end(attempt, RenderingStopped(reason: reason))
            }
            do {
                let picture = try await render(image, task)
                if let reason = attempt.stop, !reason.letsPictureEnd {
                    throw RenderingStopped(reason: reason)
                }
                post(picture, image, attempt, isFinal: position == images.count - 1)
            } catch let stopped as RenderingStopped {
                return try await end(attempt, stopped)
            } catch let draft as DraftReached {
                worker.desk.post(
                    Parcel(attempt: attempt, content: .checkpoint(draft.checkpoint))
                )
                return worker.post(.drafted(draft.checkpoint, draft.picture), of: attempt)
            } catch let interruption as RenderInterrupted {
                worker.logger(of: attempt).notice(
                    "Gives back what the group rendered",
                    metadata: ["reason": "\(interruption)"]
                )
                worker.ledger.note { $0.lostToFailureSeconds += attempt.report.seconds }
                if worker.seat.standing != nil { worker.seat.interrupt() }
                return worker.post(.released(.groupLost), of: attempt)
            } catch {
                try Task.checkCancellation()
                let failure = RenderFailure(describing: error, of: image)
                worker.logger(of: attempt).error(
                    "Rendering failed",
                    metadata: [
                        "image": "\(image.index)", "class": "\(failure.failureClass)",
                        "error": "\(failure.message)",
                    ]
                )
                return worker.post(.failed(failure), of: attempt)
            }
        }
        if images.isEmpty { worker.post(.completed, of: attempt) }
    }

    private func render(
        _ image: ImageAssignment,
        _ task: PreparedTask
    ) async throws -> RenderedPicture {
        let attempt = task.attempt
        attempt.begin(image: image.index, steps: image.settings.steps)
        attempt.trace.begin(image: image.index, steps: image.settings.steps)
        await worker.conditions.recall(
            task.conditions[image.index] ?? [],
            worker.logger(of: attempt)
        )
        let work = RenderWork(
            image: image,
            references: task.references[image.index] ?? [],
            loras: task.loras[image.index] ?? [],
            checkpoint: task.checkpoints[image.index]
        )
        let observer = RenderObserver(attempt: attempt, image: image, worker: worker)
        let begin = ContinuousClock.now
        defer {
            let seconds = (ContinuousClock.now - begin) / .seconds(1)
            attempt.charge { $0.seconds += seconds }
        }
        do {
            let picture = try await withTaskCancellationHandler {
                try await worker.renderer.render(work) { try observer.handle($0) }
            } onCancel: {
                attempt.stop(.abandon)
            }
            attempt.trace.endPicture()
            return picture
        } catch {
            attempt.trace.endPicture(error)
            throw error
        }
    }

    private func post(
        _ picture: RenderedPicture,
        _ image: ImageAssignment,
        _ attempt: HeldAttempt,
        isFinal: Bool
    ) {
        attempt.enter(.uploading)
        let kept = worker.spool.keep(picture.png)
        let content = Parcel.Content.picture(kept, image: image.index, isFinal: isFinal)
        if !worker.desk.post(Parcel(attempt: attempt, content: content)) {
            worker.spool.forget(kept)
        }
    }

    /// Ends an attempt that was stopped between two steps or images.
    private func end(_ attempt: HeldAttempt, _ stopped: RenderingStopped) async throws {
        if let checkpoint = stopped.checkpoint {
            worker.desk.post(Parcel(attempt: attempt, content: .checkpoint(checkpoint)))
        }
        switch stopped.reason {
        case .park:
            worker.logger(of: attempt).notice("Parked for a task of a higher band")
            worker.post(
                .parked(image: stopped.checkpoint?.image, step: stopped.checkpoint?.step),
                of: attempt
            )
        case .drain: worker.post(.released(.draining), of: attempt)
        case .cancelAfterStep, .cancelNow: worker.post(.released(.cancelled), of: attempt)
        case .lost: await worker.lose(attempt)
        case .abandon: throw CancellationError()
        }
    }
}

extension Result where Failure == any Error {
    /// What an asynchronous call returns or throws.
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
