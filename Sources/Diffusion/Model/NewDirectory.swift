import FoundationEssentials
import Glibc

/// A directory that is filled aside and takes its name when it is complete.
struct NewDirectory {
    private let path: String
    private let final: String
    /// Throws when the work is to end.
    let check: () throws -> Void

    /// Makes a directory; a failure in `fill` removes what was written and is thrown on.
    ///
    /// - Parameters:
    ///   - path: The directory, which must not exist yet.
    ///   - check: Called before each file; what it throws ends the work.
    ///   - fill: Writes the files.
    /// - Throws: `ModelError` where the directory cannot be made, and what the closures throw.
    static func make(
        _ path: String,
        check: @escaping () throws -> Void,
        _ fill: (NewDirectory) throws -> Void
    ) throws {
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
            try fill(NewDirectory(path: aside, final: path, check: check))
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
    func prepare(_ name: String) throws -> String {
        try check()
        let file = "\(path)/\(name)"
        guard let slash = file.lastIndex(of: "/") else { return file }
        do {
            try FileManager.default.createDirectory(
                atPath: String(file[..<slash]),
                withIntermediateDirectories: true
            )
        } catch {
            throw ModelError.unwritable(path: shown(name), reason: "its folder cannot be made")
        }
        return file
    }

    /// Writes a small file.
    func write(_ bytes: [UInt8], to name: String) throws {
        let file = try prepare(name)
        do {
            try Data(bytes).write(to: URL(filePath: file))
        } catch {
            throw ModelError.unwritable(
                path: shown(name),
                reason: "the folder or the disk does not take it"
            )
        }
    }

    /// Takes over a file: as a hard link, or as a copy from another file system.
    func take(_ source: String, as name: String) throws {
        guard access(source, R_OK) == 0 else {
            throw ModelError.missing(path: source, what: "the file", remedy: "check the path")
        }
        let file = try prepare(name)
        guard let resolved = realpath(source, nil) else {
            throw ModelError.missing(path: source, what: "the file", remedy: "check the path")
        }
        defer { free(resolved) }
        if link(resolved, file) == 0 { return }
        do {
            try FileManager.default.copyItem(atPath: String(cString: resolved), toPath: file)
        } catch {
            throw ModelError.unwritable(
                path: shown(name),
                reason: "the copy of \(source) failed"
            )
        }
    }

    /// What messages call a file: where it would have come to lie.
    private func shown(_ name: String) -> String { "\(final)/\(name)" }
}
