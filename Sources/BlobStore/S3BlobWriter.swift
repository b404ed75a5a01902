import Crypto
import FarmModel
import FoundationEssentials
import HTTPTransport
import Synchronization

/// A blob that is being written into an S3 store: at most one part of it is in memory.
final class S3BlobWriter: BlobWriter {
    private let store: S3BlobStore
    private let expected: BlobDigest?
    private let state = Mutex(State())

    /// An upload in parts that was begun.
    private struct Upload {
        let key: String
        let id: String
        /// What the store answered to each part.
        var tags: [String] = []
    }

    private struct State {
        var hash = SHA256()
        var count: Int64 = 0
        /// What follows the parts that were sent.
        var pending = Data()
        var upload: Upload?
    }

    init(store: S3BlobStore, expecting expected: BlobDigest?) {
        self.store = store
        self.expected = expected
    }

    private var partSize: Int { store.connection.configuration.partSize }

    var count: Int64 { state.withLock { $0.count } }

    func append(_ bytes: Data) async throws {
        state.withLock { state in
            state.hash.update(data: bytes)
            state.count += Int64(bytes.count)
            state.pending.append(bytes)
        }
        while let part = takePart() { try await sendPart(part) }
    }

    /// A full part, where more than one is pending, so that the last is never empty.
    private func takePart() -> Data? {
        state.withLock { state in
            guard state.pending.count > partSize else { return nil }
            let part = Data(state.pending.prefix(partSize))
            state.pending = Data(state.pending.dropFirst(partSize))
            return part
        }
    }

    func commit() async throws -> StoredBlob {
        let (digest, count, rest, upload) = state.withLock { state in
            (BlobDigest(bytes: state.hash.finalize()), state.count, state.pending, state.upload)
        }
        if let expected, expected != digest {
            throw BlobStoreError.digestMismatch(expected: expected, found: digest)
        }
        if upload == nil {
            _ = try await store.connection.send(
                .init(
                    operation: "PutObject",
                    method: "PUT",
                    key: store.key(of: digest),
                    body: rest,
                    digest: digest
                )
            )
        } else {
            try await sendPart(rest)
            try await complete(at: digest)
        }
        state.withLock { $0 = State() }
        return StoredBlob(digest: digest, size: count)
    }

    func discard() async {
        guard let upload = state.withLock({ $0.upload }) else { return }
        state.withLock { $0 = State() }
        // Shielded from cancellation, so that no parts are left; awaited at once. What cannot be
        // removed now is removed as abandoned later.
        await Task { [store] in
            try? await store.abort(upload.id, key: upload.key)
            if expected == nil { try? await store.remove(key: upload.key) }
        }.value
    }

    // MARK: - Parts

    private func sendPart(_ part: Data) async throws {
        let upload = try await begunUpload()
        let response = try await store.connection.send(
            .init(
                operation: "UploadPart",
                method: "PUT",
                key: upload.key,
                query: [
                    (name: "partNumber", value: "\(upload.tags.count + 1)"),
                    (name: "uploadId", value: upload.id),
                ],
                body: part
            )
        )
        state.withLock { $0.upload?.tags.append(response.headers["etag"] ?? "") }
    }

    private func begunUpload() async throws -> Upload {
        if let upload = state.withLock({ $0.upload }) { return upload }
        let key = expected.map(store.key(of:)) ?? store.makeAsideKey()
        let id = try await store.beginUpload(at: key)
        let upload = Upload(key: key, id: id)
        state.withLock { $0.upload = upload }
        return upload
    }

    private func complete(at digest: BlobDigest) async throws {
        let upload = try await begunUpload()
        do {
            try await store.completeUpload(upload.id, at: upload.key, upload.tags)
        } catch BlobStoreError.s3(let failure) where failure.code == "NoSuchUpload" {
            // A first try may have succeeded though its answer was lost.
            guard try await store.size(ofKey: upload.key) == count else {
                throw BlobStoreError.s3(failure)
            }
        }
        guard expected == nil else { return }
        try await store.copy(upload.key, to: store.key(of: digest))
        try await store.remove(key: upload.key)
    }
}
