import Crypto
import FarmModel
import Glibc
import Synchronization

/// A blob that is being written: bytes in, digest out.
package final class BlobWriter: Sendable {
    let path: String
    private let state: Mutex<State>

    private struct State {
        var descriptor: Int32
        var hash = SHA256()
        var count: Int64 = 0
    }

    init(path: String) throws(BlobStoreError) {
        self.path = path
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .last(path, "cannot be created") }
        state = Mutex(State(descriptor: descriptor))
    }

    deinit {
        state.withLock { state in
            if state.descriptor >= 0 { Glibc.close(state.descriptor) }
        }
        // Gone already where the blob was put in place.
        unlink(path)
    }

    /// How many bytes were written so far.
    package var count: Int64 { state.withLock { $0.count } }

    /// Writes more bytes.
    ///
    /// - Parameter bytes: The bytes that follow.
    /// - Throws: ``BlobStoreError`` when the disk refuses.
    package func append(_ bytes: UnsafeRawBufferPointer) throws {
        try state.withLock { state in
            state.hash.update(bufferPointer: bytes)
            var rest = bytes
            while !rest.isEmpty {
                let length = write(state.descriptor, rest.baseAddress, rest.count)
                if length < 0, errno == EINTR { continue }
                guard length > 0 else { throw BlobStoreError.last(path, "cannot be written") }
                rest = UnsafeRawBufferPointer(rebasing: rest[length...])
            }
            state.count += Int64(bytes.count)
        }
    }

    /// Flushes the file and returns the digest of its bytes.
    func close() throws -> BlobDigest {
        try state.withLock { state in
            precondition(state.descriptor >= 0, "A blob's writer is finished once")
            guard fsync(state.descriptor) == 0 else {
                throw BlobStoreError.last(path, "cannot be flushed")
            }
            Glibc.close(state.descriptor)
            state.descriptor = -1
            return BlobDigest(bytes: state.hash.finalize())
        }
    }
}
