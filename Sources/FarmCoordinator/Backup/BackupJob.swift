import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials

/// One backup that is being made.
struct BackupJob: Sendable {
    let store: FarmStore
    let blobs: any BlobStorage
    let folder: BackupFolder
    let hasBlobs: Bool
    /// Whether copies that the folder has are read again, and made anew where they were damaged.
    var verifies = false
    let keepOutputs: Duration?
    let tell: @Sendable (String) -> Void

    func run(keeping count: Int?) async throws -> BackupRecord {
        let farm = try await store.farmRecord()
        if let farm = farm.blobStoreID { try folder.claim(for: farm) }
        folder.removeUnfinished()
        let moment = Date()
        let (name, unfinished) = try folder.begin(at: moment)
        do {
            var record = BackupRecord(
                name: name,
                madeAt: moment,
                steps: try await store.migrationSteps(),
                blobStore: farm.blobStoreID,
                hasBlobs: hasBlobs
            )
            try await store.withBackupSnapshot { snapshot in
                tell("database")
                try await snapshot.dump(to: folder.dumpPath(of: unfinished))
                try await copyBlobs(of: snapshot, in: unfinished, &record)
            }
            try folder.finish(record)
            if let count {
                for old in try await folder.keep(max(1, count), upTo: record.name) {
                    tell("removed \(old)")
                }
            }
            return record
        } catch {
            folder.remove(unfinished)
            throw error
        }
    }

    private func copyBlobs(
        of snapshot: BackupSnapshot,
        in unfinished: String,
        _ record: inout BackupRecord
    ) async throws {
        let manifest = try folder.makeManifest(in: unfinished)
        let copier = BlobCopier(
            source: blobs,
            target: hasBlobs ? try FolderBlobStore(folder: folder.blobs) : nil,
            verifies: verifies
        )
        var found = (blobs: 0, bytes: Int64(0), expired: 0)
        var lost: [BlobDigest] = []
        try await snapshot.forEachBlob { digests in
            var missing: [BlobDigest] = []
            try await copier.copy(digests) { digest, result in
                guard let size = result.size else {
                    missing.append(digest)
                    return
                }
                manifest.add(digest, size: size)
                found.blobs += 1
                found.bytes += size
            }
            // What is missing was swept with good reason where nothing but an old job's picture names it.
            let expired = try await store.unreferenced(among: missing, keepingOutputs: keepOutputs)
            found.expired += expired.count
            lost += missing.filter { !expired.contains($0) }
            tell("\(found.blobs) blobs, \(ByteCount.text(found.bytes))")
        }
        try manifest.finish()
        record.blobs = found.blobs
        record.blobBytes = found.bytes
        record.expired = found.expired
        record.lost = Array(lost.prefix(BackupRecord.mostLost))
    }
}
