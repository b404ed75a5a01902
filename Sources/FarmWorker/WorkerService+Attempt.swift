import FarmClient
import FarmModel
import FoundationEssentials
import Logging
import ServiceLifecycle

extension WorkerService {
    /// Renders and delivers every image of a task, and ends the attempt one way or another.
    func perform(_ task: TaskAssignment) async throws {
        var logger = logger
        logger[metadataKey: "task"] = "\(task.fence.task)"
        logger[metadataKey: "attempt"] = "\(task.fence.attempt)"
        running.begin(task.fence)
        defer { running.end() }
        do {
            for image in task.images {
                if isStopping {
                    return await release(task.fence, logger)
                }
                try await deliver(image, task.fence)
                logger.info("Delivered", metadata: ["image": "\(image.index)"])
            }
            _ = try await untilAnswered("complete") { try await calls.complete(task.fence) }
        } catch is AttemptCancelled {
            logger.notice("Stopped an attempt that is no longer wanted")
        } catch let error as FarmClientError where error.isStale {
            logger.notice("Dropped an attempt whose lease is over")
        } catch is CancellationError {
            await release(task.fence, logger)
            throw CancellationError()
        } catch {
            await fail(task.fence, error, logger)
        }
    }

    private func deliver(_ image: ImageAssignment, _ fence: AttemptFence) async throws {
        let cache = ReferenceCache(folder: configuration.cacheFolder, calls: calls)
        running.begin(image: image.index, steps: image.settings.steps)
        let references = try await untilAnswered("references") {
            try await cache.paths(of: image.settings.references)
        }
        guard let references else { throw CancellationError() }
        let running = running
        let picture = try await withTaskCancellationHandler {
            try await renderer.render(image, references: references) { try running.note($0) }
        } onCancel: {
            running.interrupt()
        }
        if running.isCancelled { throw AttemptCancelled() }
        let answer = try await untilAnswered("deliver") {
            try await calls.deliver(picture.png, image: image.index, fence)
        }
        guard answer != nil else { throw CancellationError() }
    }

    private func fail(_ fence: AttemptFence, _ error: any Error, _ logger: Logger) async {
        let failure =
            error as? RenderFailure
            ?? RenderFailure(.transient, "the attempt failed: \(error)")
        logger.error(
            "Attempt failed",
            metadata: [
                "class": "\(failure.failureClass)", "error": "\(failure.message)",
            ]
        )
        let request = FailureRequest(
            fence: fence,
            failureClass: failure.failureClass,
            message: failure.message
        )
        do {
            _ = try await untilAnswered("fail") { try await calls.fail(request) }
        } catch {
            logger.notice("Failure was not taken", metadata: ["error": "\(error)"])
        }
    }

    /// Gives a task back; where that fails its lease lapses by itself.
    private func release(_ fence: AttemptFence, _ logger: Logger) async {
        let calls = calls
        // Shielded from the cancellation that led here, and awaited at once.
        let result = await Task { try await calls.release(fence) }.result
        switch result {
        case .success: logger.notice("Released a task")
        case .failure(let error):
            logger.warning("Release failed", metadata: ["error": "\(error)"])
        }
    }
}
