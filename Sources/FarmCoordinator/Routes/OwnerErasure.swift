import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials

/// Takes everything of an owner away: jobs, pictures, references, conditions, tokens.
///
/// Cut short, it is asked for again and goes on. Of the owner the audit trail alone keeps the name, with
/// what was done by it.
struct OwnerErasure: Sendable {
    let store: FarmStore
    let blobs: any BlobStorage
    let owner: String

    /// How many blobs are judged by one question.
    private static let batch = 1000

    /// Erases the owner.
    ///
    /// - Parameter actor: Who asked for it.
    /// - Returns: What was taken away.
    /// - Throws: `DatabaseError`, ``BlobStoreError``.
    func run(by actor: String) async throws -> ErasureView {
        let moment = Date()
        var view = ErasureView(owner: owner)
        view.tokens = try await store.eraseTokens(of: owner)
        // A job that was on its way when the tokens went is found by the next look.
        while true {
            let live = try await store.liveJobs(of: owner)
            for job in live {
                if case .cancelled = try await store.cancelJob(job, by: actor) {
                    view.liveJobs += 1
                }
            }
            for copy in try await store.liveCopies(of: owner) {
                _ = try await store.cancelJob(copy, by: actor)
            }
            let copies = try await store.eraseCopies(of: owner)
            let erased = try await store.eraseJobs(of: owner)
            if live.isEmpty, copies.count == 0, erased.jobs == 0 { break }
            view.jobs += erased.jobs
            view.images += erased.images
            view.outputs += erased.outputs
            view.outputBytes += erased.outputBytes
            // Those that the owner is noted to have are taken at the end.
            view.blobs += try await remove(
                erased.digests.union(copies.digests),
                storedBefore: moment
            )
        }
        let rest = try await store.eraseRest(of: owner, view, by: actor)
        view.artifacts = rest.artifacts
        view.blobs += try await remove(rest.digests, storedBefore: moment)
        view.isErased = true
        return view
    }

    /// Removes those of the blobs that are nobody's; one that somebody sends meanwhile stays.
    private func remove(
        _ digests: Set<BlobDigest>,
        storedBefore moment: Date
    ) async throws -> Int {
        var count = 0
        let digests = Array(digests)
        for start in stride(from: 0, to: digests.count, by: Self.batch) {
            let batch = Array(digests[start..<min(start + Self.batch, digests.count)])
            for digest in try await store.unclaimed(among: batch)
            where try await blobs.remove(digest, storedBefore: moment) {
                count += 1
            }
        }
        return count
    }
}
