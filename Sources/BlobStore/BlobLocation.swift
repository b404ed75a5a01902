/// Where blobs are kept: what the setting `blob-store` says.
package enum BlobLocation: Hashable, Sendable {
    case folder(String)
    case s3(bucket: String, prefix: String)

    /// Reads a folder's path or an address like `s3://bucket/prefix`.
    ///
    /// - Parameter setting: The setting's text.
    /// - Throws: ``BlobStoreError/badLocation(_:reason:)`` where it names no store.
    package init(_ setting: String) throws(BlobStoreError) {
        guard let rest = setting.dropping(prefix: "s3://") else {
            guard !setting.isEmpty, !setting.contains("://") else {
                throw .badLocation(
                    setting,
                    reason: "is neither a folder's path nor an address like s3://bucket/prefix"
                )
            }
            self = .folder(setting)
            return
        }
        let parts = rest.split(separator: "/", omittingEmptySubsequences: true)
        let isSegment: (Substring) -> Bool = { $0 != "." && $0 != ".." }
        guard let bucket = parts.first, Self.isBucket(bucket), parts.allSatisfy(isSegment) else {
            throw .badLocation(
                setting,
                reason: "names no bucket; a bucket has 3 to 63 small letters, digits, '.' or '-'"
            )
        }
        self = .s3(bucket: String(bucket), prefix: parts.dropFirst().joined(separator: "/"))
    }

    private static func isBucket(_ name: Substring) -> Bool {
        (3...63).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "."), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// The store at this place; an S3 store is not asked before it is used.
    ///
    /// - Parameter environment: The process's environment, for an S3 store's keys.
    /// - Throws: ``BlobStoreError`` when a folder cannot be made, or keys are missing.
    /// - Returns: The store.
    package func open(environment: [String: String]) throws -> any BlobStorage {
        switch self {
        case .folder(let path): try FolderBlobStore(folder: path)
        case .s3(let bucket, let prefix):
            S3BlobStore(
                try S3Configuration(bucket: bucket, prefix: prefix, environment: environment)
            )
        }
    }
}

extension String {
    /// What follows `prefix`, or nil where the text does not start with it.
    fileprivate func dropping(prefix: String) -> Substring? {
        hasPrefix(prefix) ? dropFirst(prefix.count) : nil
    }
}
