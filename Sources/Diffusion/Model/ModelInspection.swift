import FoundationEssentials
import Networks
import Tensors

/// What a model directory holds, for people and scripts.
package struct ModelInspection: Codable, Sendable {
    /// One network.
    package struct Part: Codable, Sendable {
        package var name: String
        /// The weight files.
        package var files: [String]
        /// Bytes of the weight files.
        package var bytes: Int
        /// Count of values that the network reads.
        package var parameters: Int
        /// Types of the stored tensors and how many have each.
        package var types: [String: Int]
    }

    /// One adapter file in `dreamo/`.
    package struct Adapter: Codable, Sendable {
        package var file: String
        package var bytes: Int
        package var tensors: Int
    }

    package var path: String
    package var layout: String
    package var parts: [Part]
    package var adapters: [Adapter]
    /// Bytes that the weights take in memory as float32.
    package var memory: Int
    /// The digest of the whole model; the same however its files are sharded.
    package var digest: String

    /// Looks at a model; reads every weight once for the digest.
    ///
    /// - Parameters:
    ///   - model: The opened model.
    ///   - threads: How many tensors are hashed at once.
    /// - Throws: An error when a file cannot be read.
    package init(_ model: ModelDirectory, threads: Int = 2) async throws {
        path = model.path
        layout = model.layout.rawValue
        parts = [
            Self.part(model.transformer), Self.part(model.textEncoder),
            Self.part(model.textEncoder2), Self.part(model.autoencoder),
        ]
        memory = parts.reduce(0) { $0 + 4 * $1.parameters }
        let names = model.adapterFiles
        adapters = []
        for name in names {
            let file = try SafetensorsFile(path: "\(model.adaptersFolder ?? "")/\(name)")
            adapters.append(
                Adapter(file: name, bytes: file.fileSize, tensors: file.entries.count)
            )
        }
        digest = try await model.digest(threads: threads).description
    }

    private static func part<Configuration>(_ part: ModelPart<Configuration>) -> Part {
        let entries = part.set.names.compactMap { part.set.entry($0) }
        return Part(
            name: part.name,
            files: part.set.files.map(\.path),
            bytes: part.set.files.reduce(0) { $0 + $1.fileSize },
            parameters: part.parameters.count,
            types: Dictionary(grouping: entries, by: \.type.description).mapValues(\.count)
        )
    }

    /// The inspection as a table of plain text.
    package var text: String {
        var lines = ["\(path)  (\(layout) layout)"]
        for part in parts {
            let types = part.types.sorted { $0.key < $1.key }
                .map { "\($0.key) ×\($0.value)" }.joined(separator: ", ")
            lines.append(
                "  \(Self.padded(part.name, 16))\(Self.padded(Self.size(part.bytes), 12))"
                    + "\(Self.padded("\(part.parameters) parameters", 28))\(types), "
                    + (part.files.count == 1 ? "1 file" : "\(part.files.count) files")
            )
        }
        for adapter in adapters {
            lines.append(
                "  dreamo/\(adapter.file)  \(Self.size(adapter.bytes)), "
                    + "\(adapter.tensors) tensors"
            )
        }
        if adapters.isEmpty { lines.append("  no adapters: plain FLUX") }
        let memories = Precision.allCases.map {
            "\(Self.size(memory(in: $0))) in \($0)"
        }
        lines.append("  memory needed   \(memories.joined(separator: ", "))")
        lines.append("  digest          \(digest)")
        return lines.joined(separator: "\n")
    }

    /// Bytes that the weights take in memory in a precision.
    func memory(in precision: Precision) -> Int {
        parts.reduce(0) { sum, part in
            let own =
                switch part.name {
                case "transformer": precision
                case "text_encoder_2": precision.operand
                default: precision.floating
                }
            return sum + 4 * part.parameters / own.valuesPerWord
        }
    }

    /// The inspection as a JSON object.
    package func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(2, width - text.count))
    }

    private static func size(_ bytes: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var unit = 0
        var value = Double(bytes)
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(units[unit])"
    }
}

extension ModelDirectory {
    /// The adapter files in `dreamo/`, by their paths inside it, sorted.
    package var adapterFiles: [String] {
        guard let adaptersFolder else { return [] }
        return ["", "v1.1/"].flatMap { folder in
            let names = try? FileManager.default
                .contentsOfDirectory(atPath: "\(adaptersFolder)/\(folder)")
            return (names ?? []).filter { $0.hasSuffix(".safetensors") }.map { folder + $0 }
        }.sorted()
    }
}
