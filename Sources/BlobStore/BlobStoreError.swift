package import FarmModel
import Glibc

/// Why a blob cannot be read or stored.
package enum BlobStoreError: Error, Equatable, CustomStringConvertible {
    case missing(BlobDigest)
    case damaged(String)
    case digestMismatch(expected: BlobDigest, found: BlobDigest)
    case file(path: String, reason: String)

    package var description: String {
        switch self {
        case .missing(let digest): "the blob \(digest) is not in the store; upload it"
        case .damaged(let path): "\(path) is damaged; remove it and upload the blob again"
        case .digestMismatch(let expected, let found):
            "the bytes have the digest \(found), not \(expected); send them again"
        case .file(let path, let reason): "\(path): \(reason)"
        }
    }

    /// The failure that `errno` tells of.
    static func last(_ path: String, _ action: String) -> BlobStoreError {
        .file(path: path, reason: "\(action): \(String(cString: strerror(errno)))")
    }
}
