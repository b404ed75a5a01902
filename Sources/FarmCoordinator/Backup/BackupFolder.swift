import BlobStore
import FarmModel
import FoundationEssentials
import Glibc

/// A folder of backups: each in a folder of its own, by time, and the blobs of all of them together.
///
///     NAME/backup.json     what it is
///     NAME/blobs.txt       a line a blob: its SHA-256 and size in bytes
///     NAME/database.dump   the database, as pg_dump's custom format
///     blobs/               the blobs, as in a store of blobs
///
/// What is not finished has a name that begins with a dot.
struct BackupFolder {
    let path: String

    private static let recordName = "backup.json"
    private static let manifestName = "blobs.txt"
    private static let dumpName = "database.dump"
    /// Says whose the folder is.
    private static let markName = ".farm"

    /// Where the blobs of all backups are.
    var blobs: String { path + "/blobs" }

    func dumpPath(of name: String) -> String { "\(path)/\(name)/\(Self.dumpName)" }

    // MARK: - Writing

    /// Makes the folder where it is not there, for its owner alone; one that is there and has other things
    /// in it is refused.
    func create() throws(BackupError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw .folder(path, reason: "the folder cannot be made")
        }
        let found = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        let others = found.filter { !$0.hasPrefix(".") && $0 != "lost+found" }
        guard others.isEmpty || others.contains("blobs") || !names().isEmpty else {
            throw .folder(
                path,
                reason: "it has other things in it; give a folder that is empty, or one of backups"
            )
        }
    }

    /// Makes the folder that of one farm, by the id of its blobs; another farm's is refused, whose unfinished
    /// and oldest backups would be removed as if they were this one's.
    func claim(for farm: String) throws(BackupError) {
        let mark = "\(path)/\(Self.markName)"
        if access(mark, F_OK) != 0 {
            let proposal = "\(mark)-\(UUID().uuidString)"
            defer { unlink(proposal) }
            try Self.write(Data(farm.utf8), to: proposal)
            // The first of two that come at one moment has it.
            guard link(proposal, mark) == 0 || errno == EEXIST else {
                throw .folder(mark, reason: String(cString: strerror(errno)))
            }
        }
        guard let found = FileManager.default.contents(atPath: mark) else {
            throw .unreadable(path: mark)
        }
        guard found == Data(farm.utf8) else {
            throw .folder(
                path,
                reason: "it has another farm's backups; give each farm a folder of its own"
            )
        }
    }

    /// A backup that is begun: a folder that ``finish(_:)`` gives its name.
    func begin(at moment: Date) throws(BackupError) -> (name: String, unfinished: String) {
        let text = String(moment.formatted(.iso8601).filter { !"-:".contains($0) })
        var name = text
        var number = 1
        while access("\(path)/\(name)", F_OK) == 0 || access("\(path)/.\(name)", F_OK) == 0 {
            number += 1
            name = "\(text)-\(number)"
        }
        guard mkdir("\(path)/.\(name)", 0o700) == 0 else {
            throw .folder("\(path)/.\(name)", reason: String(cString: strerror(errno)))
        }
        return (name, "." + name)
    }

    /// Writes what a backup is, and gives it its name.
    func finish(_ record: BackupRecord) throws {
        let unfinished = "\(path)/.\(record.name)"
        let data = try FarmJSON.encode(record)
        try Self.write(data, to: "\(unfinished)/\(Self.recordName)")
        try Self.flush(unfinished)
        guard rename(unfinished, "\(path)/\(record.name)") == 0 else {
            throw BackupError.folder(unfinished, reason: String(cString: strerror(errno)))
        }
        try Self.flush(path)
    }

    /// Removes a backup, finished or not.
    func remove(_ name: String) {
        try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }

    /// A file for the lines of an unfinished backup's blobs.
    func makeManifest(in unfinished: String) throws(BackupError) -> BackupManifestWriter {
        try BackupManifestWriter(path: "\(path)/\(unfinished)/\(Self.manifestName)")
    }

    static func write(_ data: Data, to path: String) throws(BackupError) {
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .folder(path, reason: String(cString: strerror(errno))) }
        defer { close(file) }
        var rest = data[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw .folder(path, reason: String(cString: strerror(errno))) }
            rest = rest.dropFirst(count)
        }
        guard fsync(file) == 0 else {
            throw .folder(path, reason: String(cString: strerror(errno)))
        }
    }

    private static func flush(_ folder: String) throws(BackupError) {
        let file = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw .folder(folder, reason: String(cString: strerror(errno))) }
        defer { close(file) }
        guard fsync(file) == 0 else {
            throw .folder(folder, reason: String(cString: strerror(errno)))
        }
    }

    // MARK: - Reading

    /// The names of the finished backups, the oldest first.
    func names() -> [String] {
        let found = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return found.filter { name in
            !name.hasPrefix(".") && access("\(path)/\(name)/\(Self.recordName)", R_OK) == 0
        }.sorted()
    }

    /// The record of a backup; of the newest where none is named.
    func record(_ name: String?) throws(BackupError) -> BackupRecord {
        let names = names()
        guard let found = name.map({ names.contains($0) ? $0 : nil }) ?? names.last else {
            throw .noBackup(folder: path, name: name)
        }
        let file = "\(path)/\(found)/\(Self.recordName)"
        guard let data = FileManager.default.contents(atPath: file),
            let record = try? FarmJSON.decode(BackupRecord.self, from: data), record.name == found
        else { throw .unreadable(path: file) }
        guard record.format == BackupRecord.currentFormat else {
            throw .otherFormat(path: file, format: record.format)
        }
        return record
    }

    /// The digests of a backup's blobs.
    func manifest(of name: String) throws(BackupError) -> [BlobDigest] {
        let file = "\(path)/\(name)/\(Self.manifestName)"
        guard let data = FileManager.default.contents(atPath: file) else {
            throw .unreadable(path: file)
        }
        var digests: [BlobDigest] = []
        for line in data.split(separator: UInt8(ascii: "\n")) {
            let text = String(decoding: line.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
            guard let digest = BlobDigest(rawValue: text) else { throw .unreadable(path: file) }
            digests.append(digest)
        }
        return digests
    }

    // MARK: - Keeping

    /// Removes all but the newest backups, and the blobs that none of those has.
    ///
    /// One whose name says a later time than it is counts as the oldest: it is of a clock that was wrong.
    ///
    /// - Parameters:
    ///   - count: How many stay.
    ///   - last: The one that was just made.
    /// - Returns: The names of those that were removed.
    /// - Throws: ``BackupError``, ``BlobStoreError``.
    func keep(_ count: Int, upTo last: String) async throws -> [String] {
        let found = names()
        let names = found.filter { $0 > last } + found.filter { $0 <= last }
        let old = Array(names.dropLast(count))
        // Backups go before their blobs: cut short, this leaves none without them.
        var kept: Set<BlobDigest> = []
        for name in names.suffix(count) { kept.formUnion(try manifest(of: name)) }
        for name in old { remove(name) }
        let store = try FolderBlobStore(folder: blobs)
        for try await entry in store.entries() where !kept.contains(entry.digest) {
            try await store.remove(entry.digest)
        }
        return old
    }

    /// Removes what backups that were cut short have left, and nothing else that is hidden.
    func removeUnfinished() {
        let found = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        for name in found where name.wholeMatch(of: /\.(\d{8}T\d{6}Z(-\d+)?|farm-.+)/) != nil {
            remove(name)
        }
    }
}

/// Writes the lines of a backup's blobs.
final class BackupManifestWriter {
    private let path: String
    private var text = Data()

    fileprivate init(path: String) throws(BackupError) {
        self.path = path
    }

    func add(_ digest: BlobDigest, size: Int64) {
        text.append(contentsOf: "\(digest.rawValue) \(size)\n".utf8)
    }

    func finish() throws(BackupError) {
        try BackupFolder.write(text, to: path)
    }
}
