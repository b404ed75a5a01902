import BlobStore
import FoundationEssentials
import Testing

/// The stores that every test of the role runs against.
enum TestStore: String, CaseIterable, CustomTestStringConvertible {
    case folder
    case s3

    var testDescription: String { rawValue }

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
