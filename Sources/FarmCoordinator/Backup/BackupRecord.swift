package import FarmModel
package import FoundationEssentials

/// What a backup says of itself, in its `backup.json`.
package struct BackupRecord: Codable, Hashable, Sendable {
    /// The layout that this release writes and reads.
    static let currentFormat = 1
    /// How many of the blobs that are lost are listed.
    static let mostLost = 1000

    package var format = currentFormat
    /// The backup's folder, which sorts by time.
    package let name: String
    package let madeAt: Date
    /// The release that made it.
    package var release = FarmSettings.version
    /// The schema's steps that the database had.
    package let steps: [String]
    /// The id in the probe of the blob store.
    package let blobStore: String?
    /// Whether the blobs are in the backup, or only named.
    package let hasBlobs: Bool
    /// How many blobs rows name, without those that are kept no longer.
    package var blobs = 0
    package var blobBytes: Int64 = 0
    /// How many of the pictures named are kept no longer (`keep-outputs`).
    package var expired = 0
    /// Blobs that were to be there and were not, or had other bytes.
    package var lost: [BlobDigest] = []
}

/// What a restore has done.
package struct RestoreReport: Sendable {
    package let record: BackupRecord
    /// Blobs that were copied; those that were there before are not among them.
    package let copied: Int
    /// Blobs that are neither in the backup nor in the store, or are damaged.
    package let lost: [BlobDigest]
    /// The schema's steps that were applied after it.
    package let applied: [String]
    /// What the audit of the restored database found.
    package let violations: [String]
    package let isDryRun: Bool

    /// Whether everything is as it was.
    package var isWhole: Bool { lost.isEmpty && violations.isEmpty }
}

/// Why there is no backup, or none was restored.
package enum BackupError: Error, CustomStringConvertible {
    case folder(String, reason: String)
    case noBackup(folder: String, name: String?)
    case unreadable(path: String)
    case otherFormat(path: String, format: Int)
    case databaseNotEmpty
    case blobsHeld

    package var description: String {
        switch self {
        case .folder(let path, let reason): "\(path): \(reason)"
        case .noBackup(let folder, let name?):
            "\(folder) has no backup '\(name)'; leave --name out for the newest"
        case .noBackup(let folder, nil):
            "\(folder) has no backup; make one by dreamfarm-coordinator backup --to \(folder)"
        case .unreadable(let path): "\(path) is no record of a backup, or is damaged"
        case .otherFormat(let path, let format):
            "\(path) is of format \(format), which this release does not read; take the release that "
                + "made it, or a later one"
        case .databaseNotEmpty:
            "the database has tables already, and a restore is for an empty one; name a new one by "
                + "--database-url, or a new --data-dir"
        case .blobsHeld: "a sweep of blobs or another backup does not end; try again later"
        }
    }
}
