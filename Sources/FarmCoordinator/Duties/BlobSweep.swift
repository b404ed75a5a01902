import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials

/// Removes the blobs that nothing names any more: by a duty, and when an operator asks.
///
/// A blob is stored, or refreshed by whoever asks for it, before the row that names it: one that is
/// young is kept whatever names it, also where it has become so since it was looked at. A clock
/// that is wrong makes every blob old. So what nothing names is looked at a second time, later by no
/// clock's time of day, when the rows that were on their way are there.
struct BlobSweep: Sendable {
    let store: FarmStore
    let blobs: any BlobStorage
    /// How long pictures are kept from the end of their job on; nil for ever.
    var keepOutputs: Duration?
    /// How young a blob may be that is judged: a job that will name it may be on its way.
    var grace: Duration = .seconds(24 * 3600)
    /// Waits between the two looks.
    var settle: @Sendable () async throws -> Void = { try await Task.sleep(for: .seconds(2)) }

    /// How many blobs one question to the database judges.
    private static let batch = 1000

    /// Removes them, or counts them where it is a dry run; nil where another sweep, or a backup, is under way
    /// when it looks or when it removes.
    ///
    /// Between the two looks it holds nobody up.
    func run(isDryRun: Bool = false) async throws -> BlobSweepView? {
        let oldest = Date(timeIntervalSinceNow: -grace.inSeconds)
        let first = try await store.withBlobsHeld {
            try await look(storedBefore: oldest, isDryRun: isDryRun)
        }
        guard let (view, loose) = first, !isDryRun, !loose.isEmpty else { return first?.view }
        try await settle()
        return try await store.withBlobsHeld {
            try await remove(loose, storedBefore: oldest, adding: view)
        }
    }

    /// What is kept, and the blobs that nothing names; a dry run counts these.
    private func look(
        storedBefore oldest: Date,
        isDryRun: Bool
    ) async throws -> (view: BlobSweepView, loose: [BlobEntry]) {
        var view = BlobSweepView(
            isDryRun: isDryRun,
            removed: 0,
            removedBytes: 0,
            kept: 0,
            keptBytes: 0
        )
        var loose: [BlobEntry] = []
        var batch: [BlobEntry] = []
        for try await entry in blobs.entries() {
            if entry.storedAt >= oldest {
                view.keep(entry)
                continue
            }
            batch.append(entry)
            if batch.count == Self.batch {
                loose += try await judge(batch, &view)
                batch = []
            }
        }
        loose += try await judge(batch, &view)
        if isDryRun { for entry in loose { view.remove(entry) } }
        return (view, loose)
    }

    /// Removes those that still nothing names.
    private func remove(
        _ loose: [BlobEntry],
        storedBefore oldest: Date,
        adding view: BlobSweepView
    ) async throws -> BlobSweepView {
        var view = view
        var left = loose[...]
        while !left.isEmpty {
            let entries = Array(left.prefix(Self.batch))
            left = left.dropFirst(entries.count)
            for entry in try await judge(entries, &view) {
                if try await isRemoved(entry, storedBefore: oldest) {
                    view.remove(entry)
                } else if try await blobs.size(of: entry.digest) != nil {
                    // Refreshed; what is gone was another sweep's.
                    view.keep(entry)
                }
            }
        }
        return view
    }

    /// The blobs that nothing names; the others are kept.
    private func judge(
        _ batch: [BlobEntry],
        _ view: inout BlobSweepView
    ) async throws -> [BlobEntry] {
        guard !batch.isEmpty else { return [] }
        let loose = try await store.unreferenced(
            among: batch.map(\.digest),
            keepingOutputs: keepOutputs
        )
        for entry in batch where !loose.contains(entry.digest) { view.keep(entry) }
        return batch.filter { loose.contains($0.digest) }
    }

    /// Removes a blob unless it was refreshed since it was looked at first.
    private func isRemoved(_ entry: BlobEntry, storedBefore oldest: Date) async throws -> Bool {
        let moment = min(oldest, entry.storedAt.addingTimeInterval(0.001))
        guard try await blobs.remove(entry.digest, storedBefore: moment) else { return false }
        let age = Duration.seconds(Date.now.timeIntervalSince(oldest))
        try await store.removeHolders(of: entry.digest, olderThan: age)
        return true
    }
}

extension BlobSweepView {
    fileprivate mutating func keep(_ entry: BlobEntry) {
        kept += 1
        keptBytes += entry.size
    }

    fileprivate mutating func remove(_ entry: BlobEntry) {
        removed += 1
        removedBytes += entry.size
        if sample.count < 20 { sample.append(entry.digest) }
    }
}
