import Dispatch
package import FarmModel
package import FoundationEssentials
import Glibc

/// Blobs in a folder, each at the address that its SHA-256 gives it.
///
/// A blob appears whole or not at all: it is written aside, flushed, and renamed. Storing the
/// same bytes again changes nothing. Blobs lie two folders deep, as `ab/cd/abcd…`.
package struct FolderBlobStore: Sendable {
    /// The folder's path.
    package let folder: String

    /// Opens the store in `folder`, creating it where it is not there, and removes what was left
    /// half-written a day ago or earlier; anything younger may be another process's work.
    ///
    /// - Parameter folder: A folder that no other store uses.
    /// - Throws: ``BlobStoreError`` when the folder cannot be made or written.
    package init(folder: String) throws(BlobStoreError) {
        self.folder = folder
        try Self.makeFolder(aside)
        removeAbandoned()
        guard access(aside, W_OK) == 0 else { throw .last(aside, "cannot be written") }
    }

    /// Where blobs are written before they are whole.
    private var aside: String { folder + "/incoming" }

    /// Where the blob lies if it is there.
    private func address(of digest: BlobDigest) -> String {
        let text = digest.rawValue
        let second = text.dropFirst(2).prefix(2)
        return "\(folder)/\(text.prefix(2))/\(second)/\(text)"
    }

    // MARK: - Reading

    /// How many bytes the blob has, or nil where it is not in the store.
    package func size(of digest: BlobDigest) -> Int64? {
        var status = stat()
        guard stat(address(of: digest), &status) == 0 else { return nil }
        return Int64(status.st_size)
    }

    /// Whether the blob is in the store.
    package func contains(_ digest: BlobDigest) -> Bool {
        size(of: digest) != nil
    }

    /// The path of the blob's file, or nil where it is not in the store.
    package func path(of digest: BlobDigest) -> String? {
        contains(digest) ? address(of: digest) : nil
    }

    /// The blob's bytes.
    ///
    /// - Throws: ``BlobStoreError`` when it is not there, cannot be read, or was damaged.
    package func read(_ digest: BlobDigest) async throws -> Data {
        let path = address(of: digest)
        return try await offPool {
            guard let data = FileManager.default.contents(atPath: path) else {
                throw BlobStoreError.missing(digest)
            }
            guard BlobDigest(of: data) == digest else { throw BlobStoreError.damaged(path) }
            return data
        }
    }

    // MARK: - Writing

    /// Stores `data` and returns its digest.
    ///
    /// - Throws: ``BlobStoreError`` when `expected` is another digest or the disk refuses.
    @discardableResult
    package func write(
        _ data: Data,
        expecting expected: BlobDigest? = nil
    ) async throws -> BlobDigest {
        let writer = try makeWriter()
        try await offPool { try data.withUnsafeBytes { try writer.append($0) } }
        return try await finish(writer, expecting: expected)
    }

    /// A writer of one new blob, to be fed in pieces and given to ``finish(_:expecting:)``; one
    /// that is dropped leaves nothing behind.
    package func makeWriter() throws(BlobStoreError) -> BlobWriter {
        try BlobWriter(path: "\(aside)/\(UUID().uuidString)")
    }

    /// Puts what `writer` was fed at its address, durably.
    ///
    /// - Parameters:
    ///   - writer: A writer of this store that was not finished before.
    ///   - expected: The digest that the bytes must have, if it is known.
    /// - Returns: The digest of the bytes.
    /// - Throws: ``BlobStoreError`` when the digest is another or the disk refuses.
    package func finish(
        _ writer: BlobWriter,
        expecting expected: BlobDigest? = nil
    ) async throws -> BlobDigest {
        try await offPool {
            let digest = try writer.close()
            if let expected, expected != digest {
                throw BlobStoreError.digestMismatch(expected: expected, found: digest)
            }
            let target = address(of: digest)
            let parent = String(target.dropLast(65))
            try Self.makeFolder(parent)
            guard rename(writer.path, target) == 0 else {
                throw BlobStoreError.last(target, "cannot be put in place")
            }
            try Self.flushFolder(parent)
            return digest
        }
    }

    // MARK: - Files

    /// Runs blocking file work on a thread of its own, never on the cooperative pool.
    private func offPool<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "dreamfarm.blobs").async {
                continuation.resume(with: Result(catching: body))
            }
        }
    }

    private func removeAbandoned() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: aside)) ?? []
        for path in names.map({ aside + "/" + $0 }) {
            var status = stat()
            if stat(path, &status) == 0, time(nil) - status.st_mtim.tv_sec > 86400 { unlink(path) }
        }
    }

    private static func makeFolder(_ path: String) throws(BlobStoreError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true
            )
        } catch {
            throw .file(path: path, reason: "the folder cannot be made")
        }
    }

    /// Makes a rename in `path` outlive a power cut.
    private static func flushFolder(_ path: String) throws(BlobStoreError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last(path, "cannot be flushed") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .last(path, "cannot be flushed") }
    }
}
