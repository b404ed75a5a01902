import FoundationEssentials
import Glibc
import Tensors

/// A folder for one test's files, removed with the value.
final class SafetensorsTestFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/safetensors-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file and returns its path.
    func write(_ bytes: [UInt8], _ name: String = "x.safetensors") throws -> String {
        try Data(bytes).write(to: URL(filePath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }

    /// Writes a safetensors file of a header and data.
    func write(header: String, data: [UInt8], _ name: String = "x.safetensors") throws -> String {
        let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian, Array.init)
        return try write(length + Array(header.utf8) + data, name)
    }

    /// Writes a file of float32 vectors through the writer.
    func write(vectors: [(String, [Float])], _ name: String) throws -> String {
        let writer = try SafetensorsWriter(
            path: "\(path)/\(name)",
            tensors: vectors.map { .init(name: $0, type: .float32, shape: [$1.count]) }
        )
        for (_, values) in vectors {
            try values.withUnsafeBufferPointer { try writer.write($0, as: .float32) }
        }
        try writer.finish()
        return "\(path)/\(name)"
    }

    /// The names of the files that are there.
    func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }
}
