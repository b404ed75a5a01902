import FarmModel
import FoundationEssentials
import Glibc
import Synchronization

/// A plain file that is read at any place.
final class OpenFile: Sendable {
    let size: Int64
    let path: String
    private let descriptor: Int32

    /// Opens the file at `path`, or returns nil where there is none; links are refused.
    init?(_ path: String) throws(BlobStoreError) {
        let opened = Glibc.open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        if opened < 0, errno == ENOENT { return nil }
        guard opened >= 0 else { throw .last(path, "cannot be read") }
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(opened)
            throw .file(path: path, reason: "is not a plain file; remove it")
        }
        self.path = path
        descriptor = opened
        size = Int64(status.st_size)
    }

    deinit { close(descriptor) }

    /// At most `count` bytes from `offset` on; fewer only at the file's end.
    func read(_ count: Int, at offset: Int64) throws -> Data {
        var data = Data(count: count)
        var filled = 0
        while filled < count {
            let length = data.withUnsafeMutableBytes { bytes in
                pread(
                    descriptor,
                    bytes.baseAddress.map { $0 + filled },
                    count - filled,
                    Int(offset) + filled
                )
            }
            if length < 0, errno == EINTR { continue }
            guard length >= 0 else { throw BlobStoreError.last(path, "cannot be read") }
            if length == 0 { break }
            filled += length
        }
        return data.prefix(filled)
    }
}

/// Goes through the blobs of a folder store, one folder in memory at a time; blocks.
final class FolderListing: Sendable {
    private let folder: String
    private let state: Mutex<State?>

    private struct State {
        var uppers: [String]
        var parents: [String] = []
        var entries: [BlobEntry] = []
    }

    init(folder: String) {
        self.folder = folder
        state = Mutex(nil)
    }

    /// The next blob, or nil at the end.
    func next() throws -> BlobEntry? {
        try state.withLock { stored in
            var state = try stored ?? State(uppers: Self.digits(in: folder))
            defer { stored = state }
            while true {
                if let entry = state.entries.popLast() { return entry }
                if let parent = state.parents.popLast() {
                    state.entries = try Self.entries(in: "\(folder)/\(parent)") { digest in
                        digest.address.dropLast(65) == parent
                    }
                } else if let upper = state.uppers.popLast() {
                    state.entries = try Self.entries(in: "\(folder)/\(upper)") { digest in
                        digest.rawValue.prefix(2) == upper
                    }
                    // What version 0.1 put there.
                    state.parents = try Self.digits(in: "\(folder)/\(upper)").map {
                        "\(upper)/\($0)"
                    }
                } else {
                    return nil
                }
            }
        }
    }

    /// The blobs in the folder at `path` that are where they belong.
    private static func entries(
        in path: String,
        where belongs: (BlobDigest) -> Bool
    ) throws -> [BlobEntry] {
        try names(in: path).compactMap { name in
            guard let digest = BlobDigest(rawValue: name), belongs(digest),
                let status = try FolderBlobStore.status("\(path)/\(name)"),
                status.st_mode & S_IFMT == S_IFREG
            else { return nil }
            return BlobEntry(
                digest: digest,
                size: Int64(status.st_size),
                storedAt: status.modification
            )
        }
    }

    /// The folders in `path` that are named by two digits.
    static func digits(in path: String) throws -> [String] {
        try names(in: path).filter { $0.utf8.count == 2 && UInt8($0, radix: 16) != nil }
    }

    /// The names in the folder at `path`; none where it was removed.
    static func names(in path: String) throws -> [String] {
        guard let stream = opendir(path) else {
            if errno == ENOENT || errno == ENOTDIR { return [] }
            throw BlobStoreError.last(path, "cannot be listed")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
