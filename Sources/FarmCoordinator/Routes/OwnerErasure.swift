import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials

/// Takes everything of an owner away: jobs, pictures, references, conditions, tokens.
///
/// What is left to remove is noted with the rows that named it, so that an erasure which was cut short is
/// asked for again and goes on. Of the owner the audit trail alone keeps the name, with what was done by it.
struct OwnerErasure: Sendable {
    /// An owner that goes on submitting: its tokens are another's to take away.
    struct StillSubmits: Error {}

    let store: FarmStore
    let blobs: any BlobStorage
    let owner: String
    /// How long after the erasure began jobs may come that were on their way, in seconds.
    var patience = 60.0

    /// How many blobs are judged by one question.
    private static let batch = 1000

    /// Erases the owner.
    ///
    /// - Parameter actor: Who asked for it.
    /// - Returns: What was taken away.
    /// - Throws: ``StillSubmits``, `DatabaseError`, ``BlobStoreError``.
    func run(by actor: String) async throws -> ErasureView {
        let moment = Date()
        let start = ContinuousClock.now
        var view = ErasureView(owner: owner)
        view.tokens = try await store.eraseTokens(of: owner, by: actor)
        // A job that was on its way when the tokens went is found by the next look.
        while try await !eraseJobs(&view, by: actor) {
            let late = (ContinuousClock.now - start).inSeconds - patience
            if late > 0, try await store.hasSubmitted(owner, within: late) { throw StillSubmits() }
        }
        view.artifacts = try await store.eraseArtifacts(of: owner)
        view.blobs = try await removeBlobs(storedBefore: moment)
        try await store.finishErasure(of: owner, view, by: actor)
        view.isErased = true
        return view
    }

    /// Cancels and deletes some jobs of the owner, and copies of its pictures; true where there were none.
    private func eraseJobs(_ view: inout ErasureView, by actor: String) async throws -> Bool {
        try await store.awaitSubmissions(of: owner)
        let live = try await store.liveJobs(of: owner)
        let copies = try await store.liveCopies(of: owner)
        // With its end a job loses its checkpoints.
        try await store.holdBlobs(of: live + copies, for: owner)
        for job in live {
            if case .cancelled = try await store.cancelJob(job, by: actor) { view.liveJobs += 1 }
        }
        for copy in copies { _ = try await store.cancelJob(copy, by: actor) }
        let erasedCopies = try await store.eraseCopies(of: owner)
        let erased = try await store.eraseJobs(of: owner)
        view.jobs += erased.jobs
        view.images += erased.images
        view.outputs += erased.outputs
        view.outputBytes += erased.outputBytes
        return live.isEmpty && erasedCopies == 0 && erased.jobs == 0
    }

    /// Removes what the owner had and nobody else has, and returns how many there were; one that somebody
    /// sends meanwhile stays.
    private func removeBlobs(storedBefore moment: Date) async throws -> Int {
        var count = 0
        var last: BlobDigest?
        while true {
            let batch = try await store.heldBlobs(of: owner, after: last, limit: Self.batch)
            guard !batch.isEmpty else { return count }
            for digest in try await store.unclaimed(among: batch, but: owner)
            where try await blobs.remove(digest, storedBefore: moment) {
                count += 1
            }
            try await store.dropHolder(owner, of: batch)
            last = batch.last
        }
    }
}
