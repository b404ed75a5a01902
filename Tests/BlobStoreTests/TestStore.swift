import BlobStore
import FarmModel
import FoundationEssentials
import Synchronization
import Testing

/// The stores that every test of the role runs against.
enum TestStore: String, CaseIterable, CustomTestStringConvertible {
    case folder
    case s3

    var testDescription: String { rawValue }

    /// Says that a blob was stored at some moment.
    typealias Ageing = @Sendable (BlobDigest, Date) async throws -> Void

    /// Lends an empty store, and a way to age its blobs.
    func lend(
        _ body: @escaping @Sendable (any BlobStorage, @escaping Ageing) async throws -> Void
    ) async throws {
        switch self {
        case .folder:
            try await TemporaryFolder.lend { folder in
                try await body(FolderBlobStore(folder: folder)) { digest, moment in
                    try FileManager.default.setAttributes(
                        [.modificationDate: moment],
                        ofItemAtPath: "\(folder)/\(digest.rawValue.prefix(2))/\(digest)"
                    )
                }
            }
        case .s3:
            let server = S3Server()
            try await server.serve { configuration in
                let store = S3BlobStore(configuration, retry: S3Server.quick)
                try await body(store) { digest, moment in
                    server.state.withLock { state in
                        for key in state.objects.keys where key.hasSuffix("\(digest)") {
                            state.objects[key]?.storedAt = moment
                        }
                    }
                }
            }
        }
    }

    /// Lends an empty store that is removed afterwards.
    func lend(_ body: @escaping @Sendable (any BlobStorage) async throws -> Void) async throws {
        switch self {
        case .folder: try await TemporaryFolder.lend { try await body(FolderBlobStore(folder: $0)) }
        case .s3:
            try await S3Server().serve { configuration in
                try await body(S3BlobStore(configuration, retry: S3Server.quick))
            }
        }
    }
}

/// A folder for one test.
enum TemporaryFolder {
    static func lend(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/blobs-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }
}

/// Bytes that differ from place to place.
func pattern(_ count: Int) -> Data {
    // A length that no power of two divides, so that no two parts are alike.
    let block = Data((0..<4093).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8)) })
    var data = Data(capacity: count + block.count)
    while data.count < count { data.append(block) }
    return data.prefix(count)
}

/// The bytes in pieces, as a request's body gives them.
func pieces(of data: Data, _ size: Int) -> AsyncStream<Data> {
    AsyncStream { continuation in
        var rest = data
        while !rest.isEmpty {
            continuation.yield(Data(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        continuation.finish()
    }
}
