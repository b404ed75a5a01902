import Collectives
import Diffusion
import Dispatch
import Synchronization
import Tensors

/// The part of the model that a member holds which does not lead, on a queue of its own.
final class GroupPart: Sendable {
    private let queue = WorkQueue("dreamfarm.group", qos: .userInitiated)
    /// What the pictures of its group share, as this rank computes them.
    let numericClass: String
    /// What ended the last following, where it was not the link's own failure.
    private let refusal = Mutex<(any Error)?>(nil)
    /// Only used on the queue.
    private let follower: UncheckedFollower

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
        let opened = try await queue.run {
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
            return UncheckedFollower(follower: follower)
        }
        numericClass = "\(opened.follower.numericClass)"
        follower = opened
    }

    /// Why it follows no more, where that is not the link's failure.
    var failure: (any Error)? { refusal.withLock { $0 } }

    /// Computes what the leader says until the link ends; what ends it is the link's own failure.
    func follow(_ link: GroupLink) {
        refusal.withLock { $0 = nil }
        queue.begin { [self] in
            do {
                try follower.follower.follow(link)
            } catch {
                if link.failure == nil { refusal.withLock { $0 = error } }
                link.close()
            }
        }
    }

    /// Returns once nothing is computed any more.
    func end() async {
        try? await queue.run {}
    }
}
