import Crypto
import FoundationEssentials
import Tensors

/// A SHA-256 of what determines a model's pictures.
///
/// It covers the tensors that the networks read, under their diffusers names, with type, shape
/// and stored bytes; the configurations in effect; and the tokenizers. How tensors are spread over
/// files, and in which layout, does not change it.
package struct ModelDigest: Sendable, Hashable, CustomStringConvertible {
    /// The digest in lower-case hexadecimal digits.
    package let description: String
    /// The digests of the networks that make conditions, by the names of their parts; empty where
    /// they are not known.
    private let parts: [String: String]

    /// The parts whose digests are known apart from the whole.
    private static let encoders = ["text_encoder", "text_encoder_2", "vae"]

    /// Digests some lines, of which each begins with its kind.
    init(of lines: [String]) {
        description = Self.digest(lines)
        parts = [:]
    }

    /// The digest of a base model with adapters.
    ///
    /// - Parameters:
    ///   - base: The base model's digest.
    ///   - adapters: The digest of each file and its weight, in their order.
    init(base: String, adapters: [(digest: String, weight: Float)]) {
        self.init(
            of: ["base \(base)"]
                + adapters.enumerated().map { index, adapter in
                    "adapter \(index) \(adapter.digest) \(adapter.weight)"
                }
        )
    }

    /// Digests a base model's lines, and those of its encoders by themselves.
    init(base lines: [String]) {
        description = Self.digest(lines)
        let pairs = Self.encoders.map { part in
            (
                part,
                Self.digest(
                    lines.filter {
                        $0.hasPrefix("tensor \(part) ") || $0.hasPrefix("configuration \(part) ")
                    }
                )
            )
        }
        parts = Dictionary(uniqueKeysWithValues: pairs)
    }

    private static func digest(_ lines: [String]) -> String {
        var hash = SHA256()
        for line in lines.sorted() {
            hash.update(data: Data("\(line)\n".utf8))
        }
        return hexadecimal(hash.finalize())
    }

    /// What stands for a part in the key of a condition: the part's own digest, so that models
    /// which share it share conditions; where it is not known, the whole model's.
    func line(of part: String) -> String {
        "\(part) \(parts[part] ?? description)"
    }

    /// A base model's digest written down before, or nil when this is none.
    init?(record: String) {
        func isDigest(_ digits: Substring) -> Bool {
            digits.utf8.count == 64 && digits.allSatisfy(\.isHexDigit)
        }
        let words = record.split(separator: " ")
        guard words.count == 1 + Self.encoders.count, words.allSatisfy(isDigest) else {
            return nil
        }
        description = String(words[0])
        parts = Dictionary(
            uniqueKeysWithValues: zip(Self.encoders, words.dropFirst().map(String.init))
        )
    }

    /// The digest as it is written down: its own digits, then those of the encoders.
    var record: String {
        ([description] + Self.encoders.compactMap { parts[$0] }).joined(separator: " ")
    }
}

extension ModelDirectory {
    /// Digests the base model: weights, configurations and tokenizers, without adapters.
    ///
    /// - Parameters:
    ///   - threads: How many tensors are hashed at once.
    ///   - cache: Where digests of unchanged files are remembered, or nil to hash them anew.
    /// - Returns: The digest.
    /// - Throws: An error when a file cannot be read.
    package func baseDigest(
        threads: Int = 2,
        cache: DigestCache? = nil
    ) async throws -> ModelDigest {
        if let packed, let digest = ModelDigest(record: packed.digest) { return digest }
        func compute() async throws -> ModelDigest {
            ModelDigest(base: try await baseLines(threads: threads))
        }
        guard let cache else { return try await compute() }
        let files =
            [transformer.set, textEncoder.set, textEncoder2.set, autoencoder.set]
            .flatMap { $0.files.map(\.path) } + tokenizerFiles.map(\.path)
        return try await cache.digest(of: files, settings: try configurationLines(), compute)
    }

    /// Digests the whole model: the base, and every adapter file in its `dreamo/` folder.
    ///
    /// - Parameter threads: How many tensors are hashed at once.
    /// - Returns: The digest.
    /// - Throws: An error when a file cannot be read.
    package func digest(threads: Int = 2) async throws -> ModelDigest {
        var places: [StoredTensor] = []
        for file in adapterFiles {
            let set = try SafetensorsSet(path: "\(adaptersFolder ?? "")/\(file)")
            places += set.names.map {
                StoredTensor(
                    part: "dreamo/\(file)",
                    name: $0,
                    set: set,
                    place: TensorPlace(tensor: $0)
                )
            }
        }
        let adapters = try await Self.lines(places, threads: threads)
        return ModelDigest(of: try await baseLines(threads: threads) + adapters)
    }

    private func baseLines(threads: Int) async throws -> [String] {
        if let packed { return ["packed \(packed.precision) \(packed.digest)"] }
        let tensors =
            transformer.storedTensors + textEncoder.storedTensors + textEncoder2.storedTensors
            + autoencoder.storedTensors
        return try await Self.lines(tensors, threads: threads) + configurationLines()
            + tokenizerLines()
    }

    private static func lines(_ tensors: [StoredTensor], threads: Int) async throws -> [String] {
        try await withThrowingTaskGroup(of: String.self) { group in
            var lines: [String] = []
            for (index, tensor) in tensors.enumerated() {
                if index >= max(1, threads), let line = try await group.next() {
                    lines.append(line)
                }
                group.addTask { try tensor.line() }
            }
            for try await line in group { lines.append(line) }
            return lines
        }
    }

    private func configurationLines() throws -> [String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        func line(_ name: String, _ value: some Encodable) throws -> String {
            "configuration \(name) \(String(decoding: try encoder.encode(value), as: UTF8.self))"
        }
        return [
            try line(transformer.name, transformer.configuration),
            try line(textEncoder.name, textEncoder.configuration),
            try line(textEncoder2.name, textEncoder2.configuration),
            try line(autoencoder.name, autoencoder.configuration),
            try line("scheduler", scheduler),
        ]
    }

    private func tokenizerLines() throws -> [String] {
        try tokenizerFiles.map { "file \($0.name) \(try fileDigest($0.path))" }
    }

    private var tokenizerFiles: [(name: String, path: String)] {
        let names = ["vocab.json", "merges.txt", "spiece.model", "tokenizer_config.json"]
        return [("tokenizer", tokenizerFolder), ("tokenizer_2", tokenizer2Folder)]
            .flatMap { part, folder in
                names.map { ("\(part)/\($0)", "\(folder)/\($0)") }
            }
            .filter { fileExists($0.path) }
    }
}

/// A tensor that a network reads, and where it is stored.
private struct StoredTensor: Sendable {
    let part: String
    let name: String
    let set: SafetensorsSet
    let place: TensorPlace

    /// Part, name, type, shape and the digest of the stored bytes, in one line.
    func line() throws -> String {
        let file = try set.requiredFile(place.tensor)
        guard let entry = file.entries[place.tensor], let shape = place.shape(in: set) else {
            throw SafetensorsError.missing(file: file.path, tensor: place.tensor)
        }
        var hash = SHA256()
        let width = entry.shape.dropFirst().reduce(1, *)
        for rows in place.rows ?? [0..<(entry.shape.first ?? 1)] {
            try file.forEachPiece(
                of: place.tensor,
                elements: rows.lowerBound * width..<rows.upperBound * width
            ) { hash.update(bufferPointer: $0) }
        }
        let scale = try file.scale(of: place.tensor)
        let suffix = scale == 1 ? "" : " × \(scale)"
        return "tensor \(part) \(name) \(entry.type) \(shape) \(hexadecimal(hash.finalize()))"
            + suffix
    }
}

extension ModelPart {
    fileprivate var storedTensors: [StoredTensor] {
        parameters.list.compactMap { parameter in
            source.place(of: parameter.name).map {
                StoredTensor(part: name, name: parameter.name, set: set, place: $0)
            }
        }
    }
}
