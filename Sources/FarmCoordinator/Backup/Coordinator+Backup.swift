import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import ServiceLifecycle

extension Coordinator {
    /// Makes a backup of the database, of one moment, and of the blobs that it names; coordinators may
    /// serve meanwhile.
    ///
    /// Blobs that an earlier backup of the folder has are not copied again.
    ///
    /// - Parameters:
    ///   - path: The folder of backups, which is made where it is not there.
    ///   - hasBlobs: Whether blobs are copied; else they are only named, and looked for.
    ///   - verifies: Whether copies that the folder has are read again, and made anew where they were damaged.
    ///   - count: How many backups the folder keeps; nil for all.
    ///   - tell: Takes a line about what is being done.
    /// - Returns: What was made.
    /// - Throws: ``BackupError``, `PostgresArchiveError`, `DatabaseError`, ``BlobStoreError``.
    package func backup(
        to path: String,
        copyingBlobs hasBlobs: Bool = true,
        verifying verifies: Bool = false,
        keeping count: Int? = nil,
        tell: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> BackupRecord {
        let database = CoordinatorDatabase(configuration, logger: logger)
        return try await OneTimeService.run(logger: logger) {
            try await cancelWhenGracefulShutdown {
                try await database.withStore { database in
                    let folder = BackupFolder(path: path)
                    try folder.create()
                    let job = BackupJob(
                        store: database.store,
                        blobs: try await openBlobs(database.store),
                        folder: folder,
                        hasBlobs: hasBlobs,
                        verifies: verifies,
                        keepOutputs: configuration.keepOutputs,
                        tell: tell
                    )
                    return try await run(job, keeping: count)
                }
            }
        }
    }

    private func run(_ job: BackupJob, keeping count: Int?) async throws -> BackupRecord {
        // A sweep takes minutes where there are very many blobs.
        for attempt in 0..<360 {
            if let record = try await job.store.withBlobsHeld({
                try await job.run(keeping: count)
            }) {
                return record
            }
            if attempt == 0 { job.tell("waiting for a sweep of blobs, or another backup, to end") }
            try await Task.sleep(for: .seconds(5))
        }
        throw BackupError.blobsHeld
    }

    /// Restores a backup into an empty database and a blob store of its own.
    ///
    /// The database is filled last, and whole or not at all: one that was cut short is begun again by
    /// the same command.
    ///
    /// - Parameters:
    ///   - path: The folder of backups.
    ///   - name: Which; nil for the newest.
    ///   - isDryRun: Whether only to read and verify what would be restored.
    ///   - tell: Takes a line about what is being done.
    /// - Returns: What was done.
    /// - Throws: ``BackupError``, `PostgresArchiveError`, `DatabaseError`, ``BlobStoreError``.
    package func restore(
        from path: String,
        name: String? = nil,
        isDryRun: Bool = false,
        tell: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> RestoreReport {
        let folder = BackupFolder(path: path)
        let record = try folder.record(name)
        let digests = try folder.manifest(of: record.name)
        let database = CoordinatorDatabase(configuration, logger: logger)
        return try await OneTimeService.run(logger: logger) {
            try await cancelWhenGracefulShutdown {
                try await database.withStore { database in
                    let blobs = try BlobLocation(configuration.blobLocation)
                        .open(environment: configuration.environment)
                    let job = RestoreJob(
                        store: database.store,
                        blobs: blobs,
                        folder: folder,
                        record: record,
                        digests: digests,
                        tell: tell
                    )
                    return try await job.run(isDryRun: isDryRun)
                }
            }
        }
    }
}
