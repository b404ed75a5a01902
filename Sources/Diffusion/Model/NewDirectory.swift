import FoundationEssentials
import Glibc

/// A directory that is filled aside and takes its name when it is complete.
struct NewDirectory {
    private let path: String

    /// Makes a directory; a failure in `fill` removes what was written and is thrown on.
    static func make(_ path: String, _ fill: (NewDirectory) throws -> Void) throws {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard access(path, F_OK) != 0 else {
            throw ModelError.unwritable(path: path, reason: "it exists already")
        }
        let aside = "\(path).\(getpid()).partial"
        guard mkdir(aside, 0o755) == 0 else {
            throw ModelError.unwritable(path: path, reason: String(cString: strerror(errno)))
        }
        do {
            try fill(NewDirectory(path: aside))
            guard rename(aside, path) == 0 else {
                throw ModelError.unwritable(path: path, reason: String(cString: strerror(errno)))
            }
        } catch {
            try? FileManager.default.removeItem(atPath: aside)
            throw error
        }
    }

    /// Where the directory lies until it is complete.
    var temporaryPath: String { path }

    /// The path for a file, after its folder was made.
    func prepare(_ name: String) throws(ModelError) -> String {
        let file = "\(path)/\(name)"
        guard let slash = file.lastIndex(of: "/") else { return file }
        do {
            try FileManager.default.createDirectory(
                atPath: String(file[..<slash]),
                withIntermediateDirectories: true
            )
        } catch {
            throw .unwritable(path: file, reason: "its folder cannot be made")
        }
        return file
    }

    /// Writes a small file.
    func write(_ bytes: [UInt8], to name: String) throws(ModelError) {
        let file = try prepare(name)
        do {
            try Data(bytes).write(to: URL(filePath: file))
        } catch {
            throw .unwritable(path: file, reason: "the folder or the disk does not take it")
        }
    }

    /// Takes over a file: as a hard link, or as a copy from another file system.
    func take(_ source: String, as name: String) throws(ModelError) {
        guard access(source, R_OK) == 0 else {
            throw .missing(path: source, what: "the file", remedy: "check the path")
        }
        let file = try prepare(name)
        guard let resolved = realpath(source, nil) else {
            throw .missing(path: source, what: "the file", remedy: "check the path")
        }
        defer { free(resolved) }
        if link(resolved, file) == 0 { return }
        do {
            try FileManager.default.copyItem(atPath: String(cString: resolved), toPath: file)
        } catch {
            throw .unwritable(path: file, reason: "the copy of \(source) failed")
        }
    }
}
