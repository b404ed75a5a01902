import FarmModel
import FoundationEssentials
import Glibc
import Imaging

/// Files in a folder of their own, bounded in bytes: what was not used for longest goes first.
///
/// Several processes may share the folder: files appear whole, by renaming, and one that another
/// process took away is missed and made again. Use is remembered in the files' times.
actor FileCache {
    /// The folder of the files, made when the first one is kept.
    let folder: String
    /// How many bytes are kept at most; files in use count and stay.
    let limit: Int64

    private struct Entry {
        var size: Int64
        /// A counter of uses: higher is later.
        var use: UInt64
        /// How many tasks need the file to stay.
        var pins = 0
    }

    private var entries: [String: Entry]?
    private var uses: UInt64 = 0

    init(folder: String, limit: Int64) {
        self.folder = folder
        self.limit = limit
    }

    /// How many bytes the known files have.
    var bytes: Int64 { known().values.reduce(0) { $0 + $1.size } }

    /// The names of the files, the one that was used last before the others, at most `count`.
    func names(_ count: Int) -> [String] {
        known().filter { $0.value.size > 0 }.sorted { $0.value.use > $1.value.use }
            .prefix(count).map(\.key)
    }

    /// The path of the file `name`, or nil where there is none.
    func path(of name: String) -> String? {
        let path = folder + "/" + name
        guard let size = Self.size(of: path) else {
            forget(name)
            return nil
        }
        note(name, size: size)
        utimes(path, nil)
        return path
    }

    /// The bytes of the file `name`, or nil where there is none.
    func data(of name: String) -> Data? {
        path(of: name).flatMap { FileManager.default.contents(atPath: $0) }
    }

    /// Keeps bytes under `name`.
    ///
    /// - Throws: `AtomicFileError` where the disk refuses.
    func keep(_ data: Data, as name: String) throws {
        try makeFolder()
        try AtomicFile.write(folder + "/" + name, [UInt8](data))
        note(name, size: Int64(data.count))
        evict(except: name)
    }

    /// A path in the folder for a file that is still being made.
    func asidePath() throws -> String {
        try makeFolder()
        return folder + "/." + UUID().uuidString + ".partial"
    }

    /// Makes the finished file at `aside` the one of `name`.
    ///
    /// - Returns: Its path.
    /// - Throws: ``RenderFailure`` where the disk refuses.
    func adopt(_ aside: String, as name: String) throws -> String {
        let path = folder + "/" + name
        guard let size = Self.size(of: aside), rename(aside, path) == 0 else {
            let reason = String(cString: strerror(errno))
            throw RenderFailure(.workersFault, "\(path): \(reason); check --data-dir")
        }
        note(name, size: size)
        evict(except: name)
        return path
    }

    /// Takes the file `name` away.
    func remove(_ name: String) {
        unlink(folder + "/" + name)
        forget(name)
    }

    /// Keeps the files of `names` from being taken away until as many calls of ``unpin(_:)``.
    func pin(_ names: [String]) {
        _ = known()
        for name in names {
            entries?[name, default: Entry(size: 0, use: uses)].pins += 1
        }
    }

    /// Ends one pinning of `names`.
    func unpin(_ names: [String]) {
        for name in names {
            guard let pins = entries?[name]?.pins, pins > 0 else { continue }
            entries?[name]?.pins = pins - 1
        }
        evict(except: nil)
    }

    // MARK: - Bookkeeping

    private func makeFolder() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
        } catch {
            throw RenderFailure(
                .workersFault,
                "\(folder): cannot be made; give a --data-dir that this user may write to"
            )
        }
    }

    private func note(_ name: String, size: Int64) {
        _ = known()
        uses += 1
        let pins = entries?[name]?.pins ?? 0
        entries?[name] = Entry(size: size, use: uses, pins: pins)
    }

    private func forget(_ name: String) {
        guard let pins = entries?[name]?.pins else { return }
        if pins == 0 { entries?[name] = nil } else { entries?[name]?.size = 0 }
    }

    private func evict(except kept: String?) {
        var bytes = bytes
        guard bytes > limit else { return }
        let candidates = known().filter {
            $0.value.pins == 0 && $0.key != kept && $0.value.size > 0
        }
        for (name, entry) in candidates.sorted(by: { $0.value.use < $1.value.use }) {
            guard bytes > limit else { return }
            bytes -= entry.size
            remove(name)
        }
    }

    /// The entries, read from the folder the first time; what earlier processes left half-made
    /// for a day goes.
    private func known() -> [String: Entry] {
        if let entries { return entries }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        var found: [(name: String, size: Int64, used: Int)] = []
        for name in names {
            var status = stat()
            guard stat(folder + "/" + name, &status) == 0 else { continue }
            guard !name.hasPrefix(".") else {
                if status.st_mtim.tv_sec < time(nil) - 86_400 { unlink(folder + "/" + name) }
                continue
            }
            found.append((name, Int64(status.st_size), status.st_mtim.tv_sec))
        }
        var read: [String: Entry] = [:]
        for file in found.sorted(by: { $0.used < $1.used }) {
            uses += 1
            read[file.name] = Entry(size: file.size, use: uses)
        }
        entries = read
        return read
    }

    private static func size(of path: String) -> Int64? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Int64(status.st_size)
    }
}
