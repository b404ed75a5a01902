import FarmModel
import FoundationEssentials
import Logging
import Synchronization

/// Follows one image's rendering on the thread that computes: notes progress, makes checkpoints
/// and previews, and stops it between two steps.
final class RenderObserver: Sendable {
    private let attempt: HeldAttempt
    private let image: ImageAssignment
    private let worker: WorkerContext
    private let schedule: Mutex<CheckpointSchedule>
    /// The predicted work of the image; nil where the model's constants are not known.
    private let cost: ImageCost?

    init(attempt: HeldAttempt, image: ImageAssignment, worker: WorkerContext) {
        self.attempt = attempt
        self.image = image
        self.worker = worker
        schedule = Mutex(worker.configuration.checkpoints)
        cost = worker.renderer.model.costs.map { CostModel($0).cost(of: image.settings) }
    }

    /// Takes note of an event.
    ///
    /// - Throws: ``RenderingStopped`` when the attempt is to stop.
    func handle(_ event: RenderEvent) throws {
        switch event {
        case .conditions(let computed, let found): try note(computed: computed, found: found)
        case .resumed(let step):
            attempt.resume(at: step)
            worker.ledger.count { $0.resumed += 1 }
            attempt.log(.info, "image \(image.index): going on after step \(step)")
        case .step(let step): try note(step)
        case .decoding:
            attempt.enter(.decoding)
            attempt.trace.beginDecoding()
        case .warning(let text):
            attempt.log(.warning, "image \(image.index): \(text)")
            worker.logger(of: attempt).warning("\(text)", metadata: ["image": "\(image.index)"])
        }
    }

    private func note(computed: [ArtifactKey], found: Int) throws {
        attempt.charge {
            $0.conditionsComputed += computed.count
            $0.conditionsFound += found
        }
        worker.ledger.note {
            $0.conditionsComputed += computed.count
            $0.conditionsFound += found
        }
        for key in computed {
            guard let bytes = worker.renderer.bytes(of: key) else { continue }
            worker.desk.post(Parcel(attempt: attempt, content: .condition(key, bytes)))
        }
        attempt.enter(.denoising)
        attempt.trace.beginSteps(computed: computed.count, found: found)
        if let reason = attempt.stop, !reason.letsPictureEnd {
            throw RenderingStopped(reason: reason)
        }
    }

    private func note(_ step: RenderStep) throws {
        attempt.trace.step(step.step, wasCached: step.wasCached)
        let measured = step.wasCached ? nil : step.seconds
        let (stop, wantsPreview) = attempt.note(step: step.step, seconds: measured)
        worker.ledger.noteStep(seconds: measured, by: worker.member?.size ?? 1, cost)
        let isLast = step.step >= step.steps
        let isDraft = step.step == image.draftSteps
        if stop == .park {
            if !isLast, !isDraft { try park(step) }
        } else if let stop, !((isLast || isDraft) && stop.letsPictureEnd) {
            throw RenderingStopped(
                reason: stop,
                checkpoint: stop.keepsCheckpoint && !isLast ? try? saved(step) : nil
            )
        }
        if isDraft { try endAsDraft(step) }
        let isDue = schedule.withLock { $0.noteStep(seconds: step.seconds) }
        if isDue, !isLast { keepCheckpoint(step) }
        if wantsPreview || step.seconds >= Self.longStep, let preview = try? step.preview() {
            attempt.show(preview)
        }
    }

    /// Ends the attempt with a checkpoint of the step and a picture of where it is heading.
    ///
    /// Where one cannot be made the attempt fails: there is nothing to decide by, or to go on from.
    private func endAsDraft(_ step: RenderStep) throws {
        attempt.enter(.decoding)
        let checkpoint = try saved(step)
        throw DraftReached(checkpoint: checkpoint, picture: try step.draft())
    }

    /// Ends the attempt with a checkpoint of the step; where none can be made, it goes on, since all that is
    /// done would be lost.
    private func park(_ step: RenderStep) throws {
        let checkpoint: SavedCheckpoint
        do {
            checkpoint = try saved(step)
        } catch {
            attempt.refusePark()
            attempt.log(
                .warning,
                "image \(image.index): not parked, since no checkpoint was made: \(error)"
            )
            return
        }
        throw RenderingStopped(reason: .park, checkpoint: checkpoint)
    }

    /// From how many seconds on a step is worth a preview of its own, heartbeat or not.
    private static let longStep = 0.5

    private func keepCheckpoint(_ step: RenderStep) {
        let begin = ContinuousClock.now
        do {
            let checkpoint = try saved(step)
            worker.desk.post(Parcel(attempt: attempt, content: .checkpoint(checkpoint)))
        } catch {
            attempt.log(.warning, "image \(image.index): no checkpoint was made: \(error)")
        }
        let cost = (ContinuousClock.now - begin) / .seconds(1)
        schedule.withLock { $0.noteCheckpoint(cost: cost) }
    }

    private func saved(_ step: RenderStep) throws -> SavedCheckpoint {
        SavedCheckpoint(image: image.index, step: step.step, bytes: try step.checkpoint())
    }
}
