import Foundation

/// A folder of one test, removed with the value.
final class TaskFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/dreamfarm-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file; returns its path.
    func write(_ text: String, to name: String = "task.json") throws -> String {
        try Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }

    /// The committed golden models, tasks and pictures.
    static let goldens: String = {
        let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return tests.joined(separator: "/") + "/Goldens"
    }()
}
