import FarmModel
import FoundationEssentials
import Logging

/// Where computed conditions are found before they are computed: in the renderer's memory, on
/// this machine's disk, in the farm.
struct ConditionStore: Sendable {
    let renderer: any ImageRenderer
    let files: FileCache
    let calls: any CoordinatorCalls

    /// How many conditions the farm is told of; with more, those that were used longest ago are
    /// left out.
    private static let mostTold = 256

    /// The conditions on this machine's disk, the latest first.
    func atHand() async -> [ArtifactKey] {
        await files.names(Self.mostTold).compactMap(ArtifactKey.init(rawValue:))
    }

    /// Brings conditions into the renderer's memory, from the disk or from the farm.
    ///
    /// What cannot be had is left to be computed: a farm that is away is not waited for.
    func gather(_ keys: [ArtifactKey], _ fence: AttemptFence, _ logger: Logger) async {
        await recall(keys, logger)
        for key in keys where !renderer.holds(key) {
            do {
                guard let bytes = try await calls.artifact(key, fence) else { continue }
                try renderer.adopt(bytes, as: key)
                await save(bytes, as: key, logger)
            } catch {
                logger.info(
                    "Condition not found in the farm",
                    metadata: ["key": "\(key)", "error": "\(error)"]
                )
            }
        }
    }

    /// Brings conditions that are on disk into the renderer's memory.
    func recall(_ keys: [ArtifactKey], _ logger: Logger) async {
        for key in keys where !renderer.holds(key) {
            guard let bytes = await files.data(of: key.rawValue) else { continue }
            do {
                try renderer.adopt(bytes, as: key)
            } catch {
                logger.warning(
                    "A condition on disk was damaged and is computed again",
                    metadata: ["key": "\(key)", "error": "\(error)"]
                )
                await files.remove(key.rawValue)
            }
        }
    }

    /// Keeps a condition that was computed on disk.
    func save(_ bytes: Data, as key: ArtifactKey, _ logger: Logger) async {
        do {
            try await files.keep(bytes, as: key.rawValue)
        } catch {
            logger.warning("Condition not kept on disk", metadata: ["error": "\(error)"])
        }
    }
}
