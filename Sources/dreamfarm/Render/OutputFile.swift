import Foundation
import Glibc

/// Names of the pictures a command writes.
enum OutputFile {
    enum PathError: Error, Equatable, CustomStringConvertible {
        case noFolder(path: String, folder: String)
        case notWritable(path: String, folder: String)
        case isFolder(path: String)
        case empty(option: String)

        var description: String {
            switch self {
            case .noFolder(let path, let folder):
                "\(path): the folder \(folder) does not exist: create it, or name another"
            case .notWritable(let path, let folder):
                "\(path): the folder \(folder) cannot be written to: change its rights, or name"
                    + " another"
            case .isFolder(let path):
                "\(path): is a folder: name a file in it"
            case .empty(let option):
                "\(option) is empty: give the path of a file"
            }
        }
    }

    /// The file of one picture of several: `out.png` becomes `out-2-s7.png`.
    static func path(_ output: String, prompt: Int?, seed: UInt64?) -> String {
        let suffix = (prompt.map { "-\($0 + 1)" } ?? "") + (seed.map { "-s\($0)" } ?? "")
        guard !suffix.isEmpty else { return output }
        let url = URL(filePath: output)
        let kind = url.pathExtension
        let stem = kind.isEmpty ? output : String(output.dropLast(kind.count + 1))
        return "\(stem)\(suffix).\(kind.isEmpty ? "png" : kind)"
    }

    /// Checks before hours of work that the result can be written.
    ///
    /// - Parameters:
    ///   - path: The file that will be written.
    ///   - option: The option that names it.
    /// - Throws: ``PathError`` for what would be in the way.
    static func checkWritable(_ path: String, option: String = "--output") throws(PathError) {
        guard !path.isEmpty else { throw .empty(option: option) }
        var isFolder = ObjCBool(false)
        let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        if exists && isFolder.boolValue || path.hasSuffix("/") { throw .isFolder(path: path) }
        // A device or pipe is written straight, whatever its folder allows.
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG,
            FileManager.default.isWritableFile(atPath: path)
        {
            return
        }
        let parent = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
        guard FileManager.default.fileExists(atPath: parent, isDirectory: &isFolder),
            isFolder.boolValue
        else { throw .noFolder(path: path, folder: parent) }
        guard FileManager.default.isWritableFile(atPath: parent) else {
            throw .notWritable(path: path, folder: parent)
        }
    }
}
