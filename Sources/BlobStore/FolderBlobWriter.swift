import Crypto
import FarmModel
import FoundationEssentials
import Glibc
import Synchronization

/// A blob that is being written into a folder store: a file aside, renamed when it is whole.
///
/// What is small is held in memory until it is committed, so that it costs one trip to a lane and,
/// when its digest is not the expected one, no file; its file begins in the folder where it ends, so
/// that many at once stand in nobody's way.
final class FolderBlobWriter: BlobWriter {
    /// How many bytes are held before they go to a file.
    private static let heldSize = 256 << 10

    private let store: FolderBlobStore
    private let expected: BlobDigest?
    private let lane = FileLane.next()
    private let state = Mutex(State())

    private struct State {
        var descriptor: Int32 = -1
        /// The file's path, where there is one.
        var path = ""
        /// What was appended and is in no file yet.
        var held = Data()
        var hash = SHA256()
        var count: Int64 = 0
        var isCommitted = false
    }

    init(store: FolderBlobStore, expecting expected: BlobDigest?) {
        self.store = store
        self.expected = expected
    }

    deinit {
        state.withLock { close(&$0, removing: true) }
    }

    var count: Int64 { state.withLock { $0.count } }

    func append(_ bytes: Data) async throws {
        let isHeld = state.withLock { state in
            state.count += Int64(bytes.count)
            guard state.descriptor < 0, state.held.count + bytes.count <= Self.heldSize else {
                return false
            }
            state.held.append(bytes)
            return true
        }
        if isHeld { return }
        try await lane.run { [self] in
            try state.withLock { state in
                if state.descriptor < 0 {
                    let path = store.makeAsidePath()
                    try take((path, FolderBlobStore.create(path)), &state)
                }
                try write(bytes, &state)
            }
        }
    }

    func commit() async throws -> StoredBlob {
        try await lane.run { [self] in
            try state.withLock { state in
                precondition(!state.isCommitted, "A blob's writer is finished once")
                var whole = state.hash
                whole.update(data: state.held)
                let found = BlobDigest(bytes: whole.finalize())
                if let expected, expected != found {
                    throw BlobStoreError.digestMismatch(expected: expected, found: found)
                }
                if state.descriptor < 0 { try take(store.create(beside: found), &state) }
                guard fsync(state.descriptor) == 0 else {
                    throw BlobStoreError.last(state.path, "cannot be flushed")
                }
                try store.put(state.path, at: found)
                close(&state, removing: false)
                state.isCommitted = true
                return StoredBlob(digest: found, size: state.count)
            }
        }
    }

    func discard() async {
        // A lane's work does not throw here.
        try? await lane.run { [self] in
            state.withLock { close(&$0, removing: true) }
        }
    }

    /// Takes a file that was just made, and moves what is held into it.
    private func take(_ file: (path: String, Int32), _ state: inout State) throws {
        (state.path, state.descriptor) = file
        let held = state.held
        state.held = Data()
        try write(held, &state)
    }

    private func write(_ bytes: Data, _ state: inout State) throws {
        state.hash.update(data: bytes)
        let (descriptor, path) = (state.descriptor, state.path)
        try bytes.withUnsafeBytes { try writeAll($0, to: descriptor, path) }
    }

    private func close(_ state: inout State, removing: Bool) {
        state.held = Data()
        guard state.descriptor >= 0 else { return }
        Glibc.close(state.descriptor)
        state.descriptor = -1
        if removing { unlink(state.path) }
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
