package import FarmModel
import FoundationEssentials
package import HTTPTransport
import Synchronization

/// Blobs in a bucket of an S3-compatible store, at `prefix/ab/cd/abcd…`.
///
/// A blob of one part is put under its digest, which the store verifies before it takes it. A
/// longer one becomes visible when its last part is there and the digest is right: at its address
/// where that was known, else aside, from where the store copies it.
package struct S3BlobStore: BlobStorage {
    let connection: S3Connection

    /// A store in the bucket of `configuration`; nothing is asked of it yet.
    package init(
        _ configuration: S3Configuration,
        transport: HTTPClient = HTTPClient(),
        retry: RetryPolicy = S3BlobStore.retry
    ) {
        connection = S3Connection(configuration, transport: transport, retry: retry)
    }

    /// Six tries within about ten seconds.
    package static let retry = RetryPolicy(
        attempts: 6,
        firstDelay: .milliseconds(200),
        largestDelay: .seconds(5),
        statuses: [429, 500, 502, 503, 504]
    )

    package var location: String { "s3://\(connection.configuration.bucket)/\(prefix)" }

    var prefix: String { connection.configuration.prefix }

    func key(_ name: String) -> String { prefix.isEmpty ? name : "\(prefix)/\(name)" }

    func key(of digest: BlobDigest) -> String { key(digest.address) }

    func makeAsideKey() -> String { key("incoming/\(UUID().uuidString)") }

    // MARK: - Reading

    package func size(of digest: BlobDigest) async throws -> Int64? {
        try await size(ofKey: key(of: digest))
    }

    func size(ofKey key: String) async throws -> Int64? {
        do {
            let response = try await connection.send(
                .init(operation: "HeadObject", method: "HEAD", key: key)
            )
            return try length(of: response.headers, key)
        } catch BlobStoreError.s3(let failure) where failure.code == "NoSuchKey" {
            return nil
        }
    }

    private func length(of headers: [String: String], _ key: String) throws -> Int64 {
        guard let length = headers["content-length"].flatMap({ Int64($0) }) else {
            throw strange("GetObject", key, "the answer has no length")
        }
        return length
    }

    func strange(_ operation: String, _ key: String, _ reason: String) -> BlobStoreError {
        .s3(
            S3Failure(
                operation: operation,
                bucket: connection.configuration.bucket,
                key: key,
                status: nil,
                code: "",
                message: reason
            )
        )
    }

    package func open(_ digest: BlobDigest, range: Range<Int64>?) async throws -> BlobContent {
        let key = key(of: digest)
        let place = "s3://\(connection.configuration.bucket)/\(key)"
        do {
            if let range {
                guard let size = try await size(of: digest) else {
                    throw BlobStoreError.missing(digest)
                }
                let part = try digest.part(range, ofSize: size)
                let reader = S3Reader(connection, key: key, range: part)
                return BlobContent(of: digest, at: place, size: size, range: part) {
                    try await reader.next()
                }
            }
            let response = try await connection.open(S3Reader.call(key))
            let size = try length(of: response.headers, key)
            let reader = S3Reader(connection, key: key, range: 0..<size, begun: response.body)
            return BlobContent(of: digest, at: place, size: size, range: 0..<size) {
                try await reader.next()
            }
        } catch BlobStoreError.s3(let failure) where failure.code == "NoSuchKey" {
            throw BlobStoreError.missing(digest)
        }
    }

    // MARK: - Writing

    package func makeWriter(expecting expected: BlobDigest?) async throws -> any BlobWriter {
        S3BlobWriter(store: self, expecting: expected)
    }

    package func remove(_ digest: BlobDigest) async throws {
        try await remove(key: key(of: digest))
    }

    func remove(key: String) async throws {
        do {
            _ = try await connection.send(
                .init(operation: "DeleteObject", method: "DELETE", key: key)
            )
        } catch BlobStoreError.s3(let failure) where failure.code == "NoSuchKey" {
            return
        }
    }

    // MARK: - Health

    private var probeKey: String { key("store-id") }

    package func identifier() async throws -> String? {
        do {
            let response = try await connection.send(
                .init(operation: "GetObject", method: "GET", key: probeKey)
            )
            return String(decoding: response.body, as: UTF8.self).split(separator: "\n").first
                .map(String.init) ?? ""
        } catch BlobStoreError.s3(let failure) where failure.code == "NoSuchKey" {
            return nil
        }
    }

    package func establishIdentifier(_ proposed: String) async throws -> String {
        var call = S3Connection.Call(
            operation: "PutObject",
            method: "PUT",
            key: probeKey,
            headers: [(name: "If-None-Match", value: "*")],
            body: Data("\(proposed)\n".utf8)
        )
        do {
            _ = try await connection.send(call)
        } catch BlobStoreError.s3(let failure) where failure.status == 412 {
            // Another coordinator was first.
        } catch BlobStoreError.s3(let failure) where failure.status == 501 {
            call.headers = []
            if try await identifier() == nil { _ = try await connection.send(call) }
        }
        guard let identifier = try await identifier() else {
            throw strange("GetObject", probeKey, "the probe was removed just now; try again")
        }
        return identifier
    }

    package func freeSpace() async throws -> FreeSpace? { nil }
}

/// Reads an object in order, and goes on where a connection broke.
private final class S3Reader: Sendable {
    private let connection: S3Connection
    private let key: String
    private let end: Int64
    private let state: Mutex<State>

    private struct State {
        var position: Int64
        var body: HTTPByteStream?
        var failures = 0
    }

    init(
        _ connection: S3Connection,
        key: String,
        range: Range<Int64>,
        begun body: HTTPByteStream? = nil
    ) {
        self.connection = connection
        self.key = key
        end = range.upperBound
        state = Mutex(State(position: range.lowerBound, body: body))
    }

    static func call(_ key: String, _ range: Range<Int64>? = nil) -> S3Connection.Call {
        var call = S3Connection.Call(operation: "GetObject", method: "GET", key: key)
        // As long as bytes come: a reader may be slow.
        call.timeout = nil
        if let range {
            let value = "bytes=\(range.lowerBound)-\(range.upperBound - 1)"
            call.headers = [(name: "Range", value: value)]
        }
        return call
    }

    func next() async throws -> Data? {
        while true {
            let (position, known) = state.withLock { ($0.position, $0.body) }
            guard position < end else { return nil }
            do {
                let body: HTTPByteStream
                if let known {
                    body = known
                } else {
                    body = try await connection.open(Self.call(key, position..<end)).body
                }
                var iterator = body.makeAsyncIterator()
                let chunk = try await iterator.next()
                state.withLock { state in
                    state.body = body
                    state.position += Int64(chunk?.count ?? 0)
                    if chunk != nil { state.failures = 0 }
                }
                return chunk
            } catch let error as HTTPTransportError {
                let attempt = state.withLock { state in
                    state.body = nil
                    state.failures += 1
                    return state.failures
                }
                guard error.isUnreachable, let delay = connection.delay(after: attempt) else {
                    throw error
                }
                try await Task.sleep(for: delay)
            }
        }
    }
}
