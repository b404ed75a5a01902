import Crypto
import FarmModel
import FoundationEssentials
import Glibc
import Synchronization

/// A blob that is being written into a folder store: a file aside, renamed when it is whole.
final class FolderBlobWriter: BlobWriter {
    private let store: FolderBlobStore
    private let expected: BlobDigest?
    private let path: String
    private let lane = FileLane.next()
    private let state = Mutex(State())

    private struct State {
        var descriptor: Int32 = -1
        var hash = SHA256()
        var count: Int64 = 0
    }

    /// A writer of the file at `path`, which is not made before ``open()``.
    init(store: FolderBlobStore, path: String, expecting expected: BlobDigest?) {
        self.store = store
        self.path = path
        self.expected = expected
    }

    deinit {
        state.withLock { close(&$0, removing: true) }
    }

    var count: Int64 { state.withLock { $0.count } }

    /// Makes the file.
    func open() async throws {
        try await lane.run { [self] in
            let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw BlobStoreError.last(path, "cannot be created") }
            state.withLock { $0.descriptor = descriptor }
        }
    }

    func append(_ bytes: Data) async throws {
        try await lane.run { [self] in
            try state.withLock { state in
                state.hash.update(data: bytes)
                try bytes.withUnsafeBytes { try writeAll($0, to: state.descriptor, path) }
                state.count += Int64(bytes.count)
            }
        }
    }

    func commit() async throws -> StoredBlob {
        try await lane.run { [self] in
            let stored = try state.withLock { state in
                precondition(state.descriptor >= 0, "A blob's writer is finished once")
                let found = BlobDigest(bytes: state.hash.finalize())
                if let expected, expected != found {
                    throw BlobStoreError.digestMismatch(expected: expected, found: found)
                }
                guard fsync(state.descriptor) == 0 else {
                    throw BlobStoreError.last(path, "cannot be flushed")
                }
                return StoredBlob(digest: found, size: state.count)
            }
            try store.put(path, at: stored.digest)
            state.withLock { close(&$0, removing: false) }
            return stored
        }
    }

    func discard() async {
        // A lane's work does not throw here.
        try? await lane.run { [self] in
            state.withLock { close(&$0, removing: true) }
        }
    }

    private func close(_ state: inout State, removing: Bool) {
        guard state.descriptor >= 0 else { return }
        Glibc.close(state.descriptor)
        state.descriptor = -1
        if removing { unlink(path) }
    }
}

/// Writes all of `bytes` to a file, whose path is for the error.
func writeAll(
    _ bytes: UnsafeRawBufferPointer,
    to descriptor: Int32,
    _ path: String
) throws(BlobStoreError) {
    var rest = bytes
    while !rest.isEmpty {
        let length = write(descriptor, rest.baseAddress, rest.count)
        if length < 0, errno == EINTR { continue }
        guard length > 0 else { throw .last(path, "cannot be written") }
        rest = UnsafeRawBufferPointer(rebasing: rest[length...])
    }
}
