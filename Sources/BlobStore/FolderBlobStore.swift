package import FarmModel
import FoundationEssentials
import Glibc
import Synchronization

/// Blobs in a folder, each at the address that its SHA-256 gives it.
///
/// A blob is written aside, flushed, and renamed. Blobs lie in 256 folders, as `ab/abcd…`: each new
/// folder costs a disk more than a blob does. Those of version 0.1, at `ab/cd/abcd…`, are found too.
/// Links among them are not followed.
package struct FolderBlobStore: BlobStorage {
    /// The folder's path.
    package let folder: String
    /// How the names of unfinished files begin, in the folders of addresses.
    static let unfinished = "."
    /// The folders of addresses that are there and were flushed, by their two digits.
    private let prepared = PreparedFolders()

    /// Opens the store in `folder`, creating it where it is not there.
    ///
    /// - Parameter folder: A folder that nothing else uses.
    /// - Throws: ``BlobStoreError`` when the folder cannot be made or written.
    package init(folder: String) throws(BlobStoreError) {
        self.folder = folder
        do {
            try FileManager.default.createDirectory(
                atPath: aside,
                withIntermediateDirectories: true
            )
        } catch {
            throw .file(path: aside, reason: "the folder cannot be made")
        }
        guard access(aside, W_OK) == 0 else { throw .last(aside, "cannot be written") }
        try Self.flush(folder)
    }

    package var location: String { folder }

    /// Where blobs are written before they are whole.
    var aside: String { folder + "/incoming" }

    private var probePath: String { folder + "/store-id" }

    func parent(of digest: BlobDigest) -> String {
        "\(folder)/\(digest.rawValue.prefix(2))"
    }

    func path(of digest: BlobDigest) -> String {
        "\(parent(of: digest))/\(digest.rawValue)"
    }

    /// Where version 0.1 put a blob.
    func formerPath(of digest: BlobDigest) -> String { "\(folder)/\(digest.address)" }

    /// A path for a blob whose digest is not known yet.
    func makeAsidePath() -> String { "\(aside)/\(UUID().uuidString)" }

    /// Makes an unfinished file in the blob's own folder; blocks.
    func create(beside digest: BlobDigest) throws(BlobStoreError) -> (path: String, Int32) {
        let path = "\(parent(of: digest))/\(Self.unfinished)\(UUID().uuidString)"
        let descriptor = try inFolder(of: digest) { Self.open(new: path) }
        guard descriptor >= 0 else { throw .last(path, "cannot be created") }
        return (path, descriptor)
    }

    /// Makes the file at `path`, which is not there, and opens it for writing; blocks.
    static func create(_ path: String) throws(BlobStoreError) -> Int32 {
        let descriptor = open(new: path)
        guard descriptor >= 0 else { throw .last(path, "cannot be created") }
        return descriptor
    }

    private static func open(new path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    }

    // MARK: - Reading

    package func size(of digest: BlobDigest) async throws -> Int64? {
        let (path, former) = (path(of: digest), formerPath(of: digest))
        return try await FileLane.next().run {
            guard let status = try Self.status(path) ?? Self.status(former),
                status.st_mode & S_IFMT == S_IFREG
            else { return nil }
            return Int64(status.st_size)
        }
    }

    package func open(_ digest: BlobDigest, range: Range<Int64>?) async throws -> BlobContent {
        let (path, former) = (path(of: digest), formerPath(of: digest))
        let lane = FileLane.next()
        let file = try await lane.run {
            guard let file = try OpenFile(path) ?? OpenFile(former) else {
                throw BlobStoreError.missing(digest)
            }
            return file
        }
        let range = try digest.part(range, ofSize: file.size)
        let position = Atomic64(range.lowerBound)
        return BlobContent(of: digest, at: file.path, size: file.size, range: range) {
            try await lane.run {
                let start = position.value
                let count = min(Int(range.upperBound - start), BlobContent.chunkSize)
                let chunk = try file.read(count, at: start)
                position.value = start + Int64(chunk.count)
                return chunk.isEmpty ? nil : chunk
            }
        }
    }

    // MARK: - Writing

    package func makeWriter(expecting expected: BlobDigest?) async throws -> any BlobWriter {
        FolderBlobWriter(store: self, expecting: expected)
    }

    /// Renames the flushed file at `path` to the address of `digest`, durably; blocks.
    func put(_ path: String, at digest: BlobDigest) throws(BlobStoreError) {
        let target = self.path(of: digest)
        guard try inFolder(of: digest, { rename(path, target) }) == 0 else {
            throw .last(target, "cannot be put in place")
        }
        try Self.flush(parent(of: digest))
    }

    /// Makes a system call in the folder of an address, which is made first; again where somebody
    /// removed the folder meanwhile, empty as it was.
    ///
    /// - Returns: What the call returned, with its `errno`.
    private func inFolder(
        of digest: BlobDigest,
        _ call: () -> Int32
    ) throws(BlobStoreError) -> Int32 {
        let parent = parent(of: digest)
        try prepare(parent, of: digest)
        let result = call()
        guard result < 0, errno == ENOENT else { return result }
        prepared.forget(digest)
        try prepare(parent, of: digest)
        return call()
    }

    /// Makes the folder of an address, and makes it outlive a power cut.
    private func prepare(_ parent: String, of digest: BlobDigest) throws(BlobStoreError) {
        guard !prepared.contains(digest) else { return }
        guard mkdir(parent, 0o755) == 0 || errno == EEXIST else {
            throw .last(parent, "the folder cannot be made")
        }
        try Self.flush(folder)
        prepared.insert(digest)
    }

    /// Makes a change of the folder at `path` outlive a power cut.
    private static func flush(_ path: String) throws(BlobStoreError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last(path, "cannot be flushed") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .last(path, "cannot be flushed") }
    }

    // MARK: - Health

    package func identifier() async throws -> String? {
        let path = probePath
        return try await FileLane.next().run {
            guard let file = try OpenFile(path) else { return nil }
            let text = String(decoding: try file.read(256, at: 0), as: UTF8.self)
            return String(text.prefix { !$0.isWhitespace })
        }
    }

    package func establishIdentifier(_ proposed: String) async throws -> String {
        let source = makeAsidePath()
        let (folder, target) = (folder, probePath)
        try await FileLane.next().run {
            let descriptor = try Self.create(source)
            defer {
                close(descriptor)
                unlink(source)
            }
            try Array("\(proposed)\n".utf8).withUnsafeBytes {
                try writeAll($0, to: descriptor, source)
            }
            guard fsync(descriptor) == 0 else {
                throw BlobStoreError.last(source, "cannot be flushed")
            }
            // Unlike a rename, a link never replaces what another coordinator wrote just before.
            guard link(source, target) == 0 || errno == EEXIST else {
                throw BlobStoreError.last(target, "cannot be put in place")
            }
            try Self.flush(folder)
        }
        guard let identifier = try await identifier() else {
            throw BlobStoreError.file(path: target, reason: "was removed just now; try again")
        }
        return identifier
    }

    package func freeSpace() async throws -> FreeSpace? {
        let folder = folder
        return try await FileLane.next().run {
            var status = statvfs()
            guard statvfs(folder, &status) == 0 else {
                throw BlobStoreError.last(folder, "its free space cannot be read")
            }
            return FreeSpace(
                available: Int64(status.f_bavail) * Int64(status.f_frsize),
                total: Int64(status.f_blocks) * Int64(status.f_frsize)
            )
        }
    }

    /// The status of the file at `path`, or nil where there is none.
    static func status(_ path: String) throws(BlobStoreError) -> stat? {
        var status = stat()
        if lstat(path, &status) == 0 { return status }
        guard errno == ENOENT else { throw .last(path, "cannot be read") }
        return nil
    }
}

/// Which folders of addresses this process has made or found, and flushed.
private final class PreparedFolders: Sendable {
    private let names = Mutex<Set<Substring>>([])

    func contains(_ digest: BlobDigest) -> Bool {
        names.withLock { $0.contains(Self.name(digest)) }
    }

    func insert(_ digest: BlobDigest) { names.withLock { _ = $0.insert(Self.name(digest)) } }

    func forget(_ digest: BlobDigest) { names.withLock { _ = $0.remove(Self.name(digest)) } }

    private static func name(_ digest: BlobDigest) -> Substring { digest.rawValue.prefix(2) }
}

/// A count that a file's lane alone moves on.
private final class Atomic64: Sendable {
    private let stored: Mutex<Int64>

    init(_ value: Int64) { stored = Mutex(value) }

    var value: Int64 {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
}
