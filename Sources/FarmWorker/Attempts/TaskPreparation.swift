import FarmClient
import FarmModel
import FoundationEssentials
import Glibc
import Logging

/// A claimed task with everything on this machine that rendering needs.
struct PreparedTask: Sendable {
    let attempt: HeldAttempt
    /// The paths of each image's references, by the image's index.
    var references: [Int: [String]] = [:]
    /// The paths of each image's adapters, by the image's index.
    var loras: [Int: [String]] = [:]
    /// The names of each image's conditions, by the image's index.
    var conditions: [Int: [ArtifactKey]] = [:]
    /// Where earlier attempts left off, by the image's index.
    var checkpoints: [Int: Data] = [:]
    /// The files that stay in the cache for it.
    var pinned: [String] = []
}

/// Fetches what a task needs while the task before it renders.
struct TaskPreparation: Sendable {
    let calls: any CoordinatorCalls
    let renderer: any ImageRenderer
    let references: ReferenceCache
    let conditions: ConditionStore
    let checkpointFolder: String
    let retrying: Retrying
    let isEnding: @Sendable () -> Bool

    /// Fetches references, conditions and checkpoints of a task.
    ///
    /// - Returns: The task, or nil when it is not to be begun any more.
    /// - Throws: ``RenderFailure`` where it cannot be rendered here, ``FarmClientError`` where
    ///   the coordinator refuses.
    func prepare(_ attempt: HeldAttempt, _ logger: Logger) async throws -> PreparedTask? {
        var prepared = PreparedTask(attempt: attempt)
        guard renderer.readsReferences else {
            await fetchCheckpoints(&prepared, logger)
            return prepared
        }
        prepared.pinned = attempt.task.images.flatMap {
            ReferenceCache.names(of: $0.settings)
        }
        await references.files.pin(prepared.pinned)
        do {
            guard try await fill(&prepared, logger) else {
                await letGo(prepared)
                return nil
            }
            return prepared
        } catch {
            await letGo(prepared)
            throw error
        }
    }

    /// Lets the files of a task go.
    func letGo(_ task: PreparedTask) async {
        guard !task.pinned.isEmpty else { return }
        await references.files.unpin(task.pinned)
    }

    private func fill(_ task: inout PreparedTask, _ logger: Logger) async throws -> Bool {
        var known: [RenderSettings: [ArtifactKey]] = [:]
        for image in task.attempt.task.images {
            do {
                guard try await fill(&task, image, &known, logger) else { return false }
            } catch let error as CancellationError {
                throw error
            } catch let error as FarmClientError where error.isStale {
                throw error
            } catch {
                if error is RenderInterrupted { throw error }
                throw RenderFailure(describing: error, of: image)
            }
        }
        await fetchCheckpoints(&task, logger)
        return true
    }

    private func fill(
        _ task: inout PreparedTask,
        _ image: ImageAssignment,
        _ known: inout [RenderSettings: [ArtifactKey]],
        _ logger: Logger
    ) async throws -> Bool {
        let attempt = task.attempt
        let files = try await retrying.untilAnswered(
            "references",
            unless: { isEnding() || attempt.stop != nil },
            {
                (
                    try await references.paths(of: image.settings.references),
                    try await references.paths(of: image.settings.loras)
                )
            }
        )
        guard let (paths, loras) = files else { return false }
        task.references[image.index] = paths
        task.loras[image.index] = loras
        // Neither the seed nor adapters change what is encoded.
        var encoded = image.settings
        encoded.seed = 0
        encoded.loras = []
        let keys: [ArtifactKey]
        if let found = known[encoded] {
            keys = found
        } else {
            keys = try await renderer.conditions(of: image, references: paths)
            await conditions.gather(keys, attempt.fence, logger)
            known[encoded] = keys
        }
        task.conditions[image.index] = keys
        return true
    }

    private func fetchCheckpoints(_ task: inout PreparedTask, _ logger: Logger) async {
        for offer in task.attempt.task.checkpoints {
            guard let bytes = await checkpoint(offer, task.attempt, logger) else { continue }
            task.checkpoints[offer.imageIndex] = bytes
        }
    }

    /// A checkpoint's bytes, or nil where it cannot be used: then the image begins anew.
    private func checkpoint(
        _ offer: CheckpointOffer,
        _ attempt: HeldAttempt,
        _ logger: Logger
    ) async -> Data? {
        let own = renderer.model.numericClass
        guard offer.numericClass == own else {
            attempt.log(
                .warning,
                "image \(offer.imageIndex): the checkpoint of step \(offer.step) is refused: it is "
                    + "of numeric class \(offer.numericClass), this worker of \(own); beginning "
                    + "anew"
            )
            return nil
        }
        let path = checkpointFolder + "/" + UUID().uuidString + ".checkpoint"
        defer { unlink(path) }
        do {
            try FileManager.default.createDirectory(
                atPath: checkpointFolder,
                withIntermediateDirectories: true
            )
            try await calls.downloadBlob(offer.digest, to: path)
            guard let bytes = FileManager.default.contents(atPath: path),
                BlobDigest(of: bytes) == offer.digest
            else {
                attempt.log(
                    .warning,
                    "image \(offer.imageIndex): the checkpoint of step \(offer.step) is refused: "
                        + "it came with other bytes than its digest says; beginning anew"
                )
                return nil
            }
            return bytes
        } catch {
            attempt.log(
                .warning,
                "image \(offer.imageIndex): the checkpoint of step \(offer.step) is refused: "
                    + "\(error); beginning anew"
            )
            logger.warning("Checkpoint not fetched", metadata: ["error": "\(error)"])
            return nil
        }
    }
}
