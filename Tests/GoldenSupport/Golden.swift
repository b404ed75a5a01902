import FoundationEssentials
package import Tensors

/// One folder of `Tests/Goldens`: a model, a task, and what the reference made of them.
package struct Golden: Sendable {
    /// The folder's name.
    package let name: String

    /// Every folder.
    package static let all = ["two-references", "plain-bfloat16", "sampled"].map(Golden.init)
    /// Those with `layers.safetensors`.
    package static let withLayers = all.filter { $0.name != "plain-bfloat16" }
    /// The folder of all of them.
    package static let root: String = {
        let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return tests.joined(separator: "/") + "/Goldens"
    }()

    package var folder: String { "\(Golden.root)/\(name)" }
    package var model: String { "\(folder)/model" }

    /// The tensors of a whole run.
    package func run() throws -> GoldenTensors {
        try GoldenTensors(self, file: "golden", spreads: \.golden)
    }

    /// Inputs and outputs of single layers.
    package func layers() throws -> GoldenTensors {
        try GoldenTensors(self, file: "layers", spreads: \.layers)
    }

    /// A configuration of the model, such as that of `transformer`.
    package func configuration<Value: Decodable>(
        _ type: Value.Type,
        of part: String
    ) throws
        -> Value
    {
        try decode(type, "model/\(part)/config.json")
    }

    /// A JSON file of the folder.
    package func decode<Value: Decodable>(_ type: Value.Type, _ file: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(contentsOf: URL(filePath: "\(folder)/\(file)")))
    }
}

extension Golden: CustomStringConvertible {
    package var description: String { name }
}

/// What `rounding.json` holds: how exact the reference itself is.
struct Rounding: Decodable, Sendable {
    struct Spread: Decodable, Sendable {
        let rounding: Double
        let std: Double
    }

    let sampled: Bool
    let golden: [String: Spread]
    let layers: [String: Spread]?

    /// How far a right value may be from the reference's.
    func bound(_ spread: Spread) -> Double {
        let limit = max(30 * spread.rounding, 2e-5 * spread.std)
        return min(limit, (sampled ? 1.5e-4 : 1e-3) * spread.std)
    }
}

/// A file of the reference's tensors, with how far a right value may be from each.
package struct GoldenTensors {
    package let file: SafetensorsFile
    private let rounding: Rounding
    private let spreads: [String: Rounding.Spread]

    init(
        _ golden: Golden,
        file: String,
        spreads: KeyPath<Rounding, [String: Rounding.Spread]?>
    ) throws {
        self.file = try SafetensorsFile(path: "\(golden.folder)/\(file).safetensors")
        rounding = try golden.decode(Rounding.self, "rounding.json")
        self.spreads = rounding[keyPath: spreads] ?? [:]
    }

    init(
        _ golden: Golden,
        file: String,
        spreads: KeyPath<Rounding, [String: Rounding.Spread]>
    ) throws {
        self.file = try SafetensorsFile(path: "\(golden.folder)/\(file).safetensors")
        rounding = try golden.decode(Rounding.self, "rounding.json")
        self.spreads = rounding[keyPath: spreads]
    }

    package var names: [String] { file.names }

    /// The values of a tensor; integers up to 2^24 are exact.
    package func values(_ name: String) throws -> [Float] { try file.values(of: name) }

    /// A tensor as a matrix of its last dimension.
    package func matrix(_ name: String) throws -> Tensor {
        let values = try values(name)
        let columns = file.shape(of: name)?.last ?? values.count
        return Tensor(rows: values.count / columns, columns: columns, values: values)
    }

    /// A picture (1, channels, height, width) as planes (channels, height · width).
    package func planes(_ name: String) throws -> (planes: Tensor, height: Int, width: Int) {
        let shape = file.shape(of: name) ?? []
        guard shape.count == 4 else {
            throw SafetensorsError.missing(file: file.path, tensor: name)
        }
        let values = try values(name)
        let planes = Tensor(rows: shape[1], columns: shape[2] * shape[3], values: values)
        return (planes, shape[2], shape[3])
    }

    /// Says how values differ from a tensor by more than they may; nil when they do not.
    package func difference(_ name: String, _ values: [Float]) throws -> String? {
        let expected = try self.values(name)
        guard values.count == expected.count else {
            return "\(name): \(values.count) values, not \(expected.count)"
        }
        let error =
            zip(values, expected).map { pair in
                let distance = abs(Double(pair.0) - Double(pair.1))
                return distance.isFinite ? distance : .infinity
            }.max() ?? .infinity
        let bound: Double
        if file.entries[name]?.type == .int64 {
            bound = 0
        } else if name == "noise" {
            bound = 1e-6
        } else if let spread = spreads[name] {
            bound = rounding.bound(spread)
        } else {
            return "\(name): rounding.json does not have it"
        }
        return error <= bound ? nil : "\(name): \(error) from the reference, \(bound) is allowed"
    }

    /// All differences of a dump; each tensor must be there under its name, in its shape.
    package func differences(from dump: SafetensorsFile) throws -> [String] {
        try names.compactMap { name in
            guard let shape = dump.shape(of: name) else { return "\(name): is not in the dump" }
            guard shape == file.shape(of: name) else { return "\(name): has the shape \(shape)" }
            guard dump.entries[name]?.type == file.entries[name]?.type else {
                return "\(name): has another type"
            }
            return try difference(name, dump.values(of: name))
        }
    }
}
