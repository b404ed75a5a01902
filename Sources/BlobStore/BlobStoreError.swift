package import FarmModel
import Glibc

/// Why a blob cannot be read or stored.
package enum BlobStoreError: Error, Equatable, CustomStringConvertible {
    case missing(BlobDigest)
    case damaged(String)
    case digestMismatch(expected: BlobDigest, found: BlobDigest)
    case tooLarge(limit: Int64)
    case badRange(BlobDigest, size: Int64)
    case full(path: String)
    case file(path: String, reason: String)
    case anotherStore(location: String, expected: String, found: String?)
    /// A `blob-store` setting that names no store.
    case badLocation(String, reason: String)
    case s3(S3Failure)

    package var description: String {
        switch self {
        case .missing(let digest): "the blob \(digest) is not in the store; upload it"
        case .damaged(let path): "\(path) is damaged; remove it and upload the blob again"
        case .digestMismatch(let expected, let found):
            "the bytes have the digest \(found), not \(expected); send them again"
        case .tooLarge(let limit): "the blob is longer than \(limit) bytes"
        case .badRange(let digest, let size):
            "the blob \(digest) has \(size) bytes; ask for a range within them"
        case .full(let path): "\(path): no space is left; free some or add disk"
        case .file(let path, let reason): "\(path): \(reason)"
        case .anotherStore(let location, let expected, let found?):
            "\(location) is the store \(found), but the database belongs to the store "
                + "\(expected); give that one as --blob-store"
        case .anotherStore(let location, let expected, nil):
            "\(location) has no probe of the store \(expected); is it mounted, and is it the "
                + "right --blob-store?"
        case .badLocation(let setting, let reason): "blob-store '\(setting)': \(reason)"
        case .s3(let failure): failure.description
        }
    }

    /// The failure that `errno` tells of.
    static func last(_ path: String, _ action: String) -> BlobStoreError {
        let code = errno
        if code == ENOSPC || code == EDQUOT { return .full(path: path) }
        return .file(path: path, reason: "\(action): \(String(cString: strerror(code)))")
    }
}

/// What an S3 store refused, or why it could not be asked.
package struct S3Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The operation by S3's name, such as `PutObject`.
    package let operation: String
    package let bucket: String
    package let key: String
    /// The answer's status; nil where there was none.
    package let status: Int?
    /// S3's code, such as `NoSuchBucket`; empty where there was none.
    package let code: String
    package let message: String

    package var description: String {
        let answer = status.map { " \($0)" } ?? ""
        let name = code.isEmpty ? "" : " \(code)"
        return "s3://\(bucket)/\(key): \(operation) failed\(answer)\(name): \(message)\(remedy)"
    }

    private var remedy: String {
        switch code {
        case "NoSuchBucket": "; create the bucket, or name another in --blob-store"
        case "AccessDenied", "AllAccessDisabled":
            "; allow these credentials to read, write, list and delete there"
        case "InvalidAccessKeyId", "ExpiredToken", "InvalidToken":
            "; give valid AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        case "SignatureDoesNotMatch": "; check AWS_SECRET_ACCESS_KEY and AWS_REGION"
        case "RequestTimeTooSkewed": "; set this machine's clock"
        case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint":
            "; set AWS_REGION to the bucket's region"
        default: ""
        }
    }
}
