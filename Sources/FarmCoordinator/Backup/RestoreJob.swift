import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials

/// One backup that is being restored.
struct RestoreJob: Sendable {
    let store: FarmStore
    let blobs: any BlobStorage
    let folder: BackupFolder
    let record: BackupRecord
    let digests: [BlobDigest]
    let tell: @Sendable (String) -> Void

    /// How many blobs are looked at before that is told.
    private static let batch = 1000

    func run(isDryRun: Bool) async throws -> RestoreReport {
        guard try await store.isEmpty() else { throw BackupError.databaseNotEmpty }
        let identifier = try await blobs.identifier()
        if let identifier, let expected = record.blobStore, identifier != expected {
            throw BlobStoreError.anotherStore(
                location: blobs.location,
                expected: expected,
                found: identifier
            )
        }
        let (copied, lost) = try await copyBlobs(isDryRun: isDryRun)
        guard !isDryRun else {
            return RestoreReport(
                record: record,
                copied: copied,
                lost: lost,
                applied: [],
                violations: [],
                isDryRun: true
            )
        }
        if identifier == nil, let expected = record.blobStore {
            _ = try await blobs.establishIdentifier(expected)
        }
        tell("database")
        try await store.restore(from: folder.dumpPath(of: record.name))
        let applied = try await store.migrate()
        try await store.extendCredentials(goodAt: record.madeAt)
        return RestoreReport(
            record: record,
            copied: copied,
            lost: lost,
            applied: applied,
            violations: try await store.audit().map(\.description),
            isDryRun: false
        )
    }

    private func copyBlobs(isDryRun: Bool) async throws -> (copied: Int, lost: [BlobDigest]) {
        let copier: BlobCopier
        if record.hasBlobs {
            let source = try FolderBlobStore(folder: folder.blobs)
            copier = BlobCopier(source: source, target: isDryRun ? nil : blobs, verifies: isDryRun)
        } else {
            copier = BlobCopier(source: blobs, target: nil)
        }
        var (seen, copied, lost) = (0, 0, record.lost)
        for start in stride(from: 0, to: digests.count, by: Self.batch) {
            let batch = Array(digests[start..<min(start + Self.batch, digests.count)])
            try await copier.copy(batch) { digest, result in
                switch result {
                case .copied: copied += 1
                case .present: break
                case .missing: lost.append(digest)
                }
            }
            seen += batch.count
            tell("\(seen) of \(digests.count) blobs")
        }
        return (copied, lost)
    }
}
