import Collectives
import Diffusion
import Dispatch
import Synchronization
import Tensors

/// The part of the model that a member holds which does not lead, on a queue of its own.
final class GroupPart: Sendable {
    private let queue = DispatchQueue(label: "dreamfarm.group", qos: .userInitiated)
    /// Only used on the queue.
    private let follower: Mutex<UncheckedFollower?>

    /// One queue uses it, call after call, which makes the unchecked conformance right.
    private struct UncheckedFollower: @unchecked Sendable {
        let follower: RenderFollower
    }

    /// Reads the part of a rank.
    ///
    /// - Throws: An error that names what is missing or broken.
    init(
        _ configuration: PipelineRenderer.Configuration,
        _ shard: Shard,
        log: @escaping @Sendable (String) -> Void
    ) async throws {
        follower = Mutex(nil)
        try await run { part in
            let follower = try RenderFollower(
                model: try ModelDirectory(path: configuration.path),
                selection: try configuration.selection,
                precision: configuration.precision,
                shard: shard,
                compute: Compute(
                    threads: configuration.threads,
                    kernels: configuration.kernels
                ),
                log: log
            )
            part.follower.withLock { $0 = UncheckedFollower(follower: follower) }
        }
    }

    /// Computes what the leader says until the link ends; what ends it is the link's own failure.
    func follow(_ link: GroupLink) {
        queue.async { [self] in
            guard let follower = follower.withLock({ $0 })?.follower else { return }
            do {
                try follower.follow(link)
            } catch {
                link.close()
            }
        }
    }

    /// Returns once nothing is computed any more.
    func end() async {
        try? await run { _ in }
    }

    private func run(
        _ body: @escaping @Sendable (GroupPart) throws -> Void
    ) async throws {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body(self) }) }
        }
    }
}
