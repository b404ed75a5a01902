import Crypto
import FoundationEssentials
import Glibc

/// A digest of a whole model that does not depend on how its weights are spread over files.
///
/// SHA-256 over one record a tensor, sorted by part and name: part, name, type, shape and the
/// SHA-256 of the stored bytes; then one record a further file (configurations, tokenizers).
package struct ModelDigest: Sendable, Hashable, CustomStringConvertible {
    /// The digest in lower-case hexadecimal digits.
    package let description: String

    /// Hashes the model, several tensors at a time.
    ///
    /// - Parameters:
    ///   - weights: The parts with weights, by their name in the model.
    ///   - files: Further files that determine a picture: name in the model, path.
    ///   - threads: How many tensors are hashed at once.
    /// - Returns: The digest.
    /// - Throws: `SafetensorsError` when a file cannot be read.
    package static func compute(
        weights: [(part: String, set: SafetensorsSet)],
        files: [(name: String, path: String)] = [],
        threads: Int = 2
    ) async throws -> ModelDigest {
        let tensors = weights.flatMap { part, set in set.names.map { (part, $0, set) } }
        let lines = try await withThrowingTaskGroup(of: String.self) { group in
            var lines: [String] = []
            for (index, (part, name, set)) in tensors.enumerated() {
                if index >= max(1, threads), let line = try await group.next() {
                    lines.append(line)
                }
                group.addTask { try Self.line(part: part, name: name, set: set) }
            }
            for try await line in group { lines.append(line) }
            return lines.sorted()
        }
        var hash = SHA256()
        for line in lines { hash.update(data: Data(line.utf8)) }
        for file in files.sorted(by: { $0.name < $1.name }) {
            guard let data = try? Data(contentsOf: URL(filePath: file.path)) else {
                throw SafetensorsError.unreadable(file: file.path, reason: "it cannot be read")
            }
            hash.update(data: Data("file \(file.name) \(hex(SHA256.hash(data: data)))\n".utf8))
        }
        return ModelDigest(description: hex(hash.finalize()))
    }

    private static func line(part: String, name: String, set: SafetensorsSet) throws -> String {
        let file = try set.requiredFile(name)
        guard let entry = file.entries[name] else {
            throw SafetensorsError.missing(file: file.path, tensor: name)
        }
        var hash = SHA256()
        try file.forEachPiece(of: name) { hash.update(bufferPointer: $0) }
        return "tensor \(part) \(name) \(entry.type) \(entry.shape) \(hex(hash.finalize()))\n"
    }

    private static func hex(_ digest: SHA256.Digest) -> String {
        let digits = Array("0123456789abcdef")
        return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
