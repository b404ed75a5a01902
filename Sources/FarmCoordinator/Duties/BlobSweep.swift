import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials

/// Removes the blobs that nothing names any more: by a duty, and when an operator asks.
///
/// A blob is stored, or refreshed by whoever asks for it, before the row that names it: one that is
/// young is kept whatever names it, also where it has become so since it was looked at.
struct BlobSweep: Sendable {
    let store: FarmStore
    let blobs: any BlobStorage
    /// How long pictures are kept from the end of their job on; nil for ever.
    var keepOutputs: Duration?
    /// How young a blob may be that is judged: a job that will name it may be on its way.
    var grace: Duration = .seconds(24 * 3600)

    /// How many blobs one question to the database judges.
    private static let batch = 1000

    /// Removes them, or counts them where it is a dry run; nil at once while another sweep, or a backup,
    /// is under way.
    func run(isDryRun: Bool = false) async throws -> BlobSweepView? {
        try await store.withBlobsHeld { try await sweep(isDryRun: isDryRun) }
    }

    private func sweep(isDryRun: Bool) async throws -> BlobSweepView {
        var view = BlobSweepView(
            isDryRun: isDryRun,
            removed: 0,
            removedBytes: 0,
            kept: 0,
            keptBytes: 0
        )
        let oldest = Date(timeIntervalSinceNow: -grace.inSeconds)
        var batch: [BlobEntry] = []
        for try await entry in blobs.entries() {
            if entry.storedAt >= oldest {
                view.kept += 1
                view.keptBytes += entry.size
                continue
            }
            batch.append(entry)
            if batch.count == Self.batch {
                try await judge(batch, storedBefore: oldest, &view)
                batch = []
            }
        }
        try await judge(batch, storedBefore: oldest, &view)
        return view
    }

    private func judge(
        _ batch: [BlobEntry],
        storedBefore oldest: Date,
        _ view: inout BlobSweepView
    ) async throws {
        guard !batch.isEmpty else { return }
        let loose = try await store.unreferenced(
            among: batch.map(\.digest),
            keepingOutputs: keepOutputs
        )
        for entry in batch {
            let isLoose = loose.contains(entry.digest)
            guard isLoose, try await isRemoved(entry, storedBefore: oldest, view.isDryRun) else {
                view.kept += 1
                view.keptBytes += entry.size
                continue
            }
            view.removed += 1
            view.removedBytes += entry.size
            if view.sample.count < 20 { view.sample.append(entry.digest) }
        }
    }

    /// Removes a blob, or tells that it would be.
    private func isRemoved(
        _ entry: BlobEntry,
        storedBefore oldest: Date,
        _ isDryRun: Bool
    ) async throws -> Bool {
        if isDryRun { return true }
        guard try await blobs.remove(entry.digest, storedBefore: oldest) else { return false }
        try await store.removeHolders(of: entry.digest, before: oldest)
        return true
    }
}
