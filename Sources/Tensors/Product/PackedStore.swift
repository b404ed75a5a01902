/// What a file of packed weights says of one layer, in the header's strings.
///
/// The layer's name is its modules' names joined by `+`. Its weight's parts are the tensors
/// `name|0`, `name|1`, …, of bytes as `PackedMatrix` has them, and `name|0|scales` where they have
/// scales. All other tensors of the file are plain.
struct PackedLayer: Equatable {
    let precision: Precision
    let outputs: [Int]
    let inputs: [Int]

    init(precision: Precision, outputs: [Int], inputs: [Int]) {
        self.precision = precision
        self.outputs = outputs
        self.inputs = inputs
    }

    /// Reads `int8 3072,3072,3072 3072`.
    init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 3, let precision = Precision(rawValue: String(words[0])) else {
            return nil
        }
        let lists = words[1...].map { $0.split(separator: ",").map { Int($0) ?? -1 } }
        guard lists.allSatisfy({ !$0.isEmpty && $0.allSatisfy { (1..<1 << 32).contains($0) } })
        else { return nil }
        self.init(precision: precision, outputs: lists[0], inputs: lists[1])
    }

    var text: String {
        let lists = [outputs, inputs].map { $0.map(String.init).joined(separator: ",") }
        return "\(precision.rawValue) \(lists[0]) \(lists[1])"
    }

    /// The layer's name in the file.
    static func name(_ modules: [String]) -> String { modules.joined(separator: "+") }

    static func tensor(_ name: String, part: Int) -> String { "\(name)|\(part)" }
    static func scales(_ name: String, part: Int) -> String { "\(name)|\(part)|scales" }

    /// What stands before a layer's name among the header's strings.
    static let prefix = "packed "
}

/// Reads a network from a source while writing what it becomes, so that it can be mapped again.
///
/// Not synchronised: a network is read on one thread, tensor after tensor, which makes the unchecked
/// conformance right.
package final class PackedStoreWriter: ParameterSource, @unchecked Sendable {
    let base: any ParameterSource
    private let appender: SafetensorsAppender
    private var metadata: [String: String] = [:]
    private var names: Set<String> = []

    /// Begins a file.
    ///
    /// - Parameters:
    ///   - path: The file, which takes its name in `finish`.
    ///   - base: What is read.
    /// - Throws: `SafetensorsError.unwritable`.
    package init(path: String, base: any ParameterSource) throws {
        self.base = base
        appender = try SafetensorsAppender(path: path)
    }

    package func shape(of name: String) -> [Int]? { base.shape(of: name) }

    /// Reads a tensor that is not packed, and writes it as float32.
    package func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try base.read(name, shape: shape, into: destination)
        try append(name, .float32, shape, UnsafeRawBufferPointer(destination))
    }

    /// Writes a tensor.
    func append(
        _ name: String,
        _ type: SafetensorsType,
        _ shape: [Int],
        _ bytes: UnsafeRawBufferPointer
    ) throws {
        guard names.insert(name).inserted else { return }
        try appender.append(name, type, shape: shape, bytes)
    }

    /// Writes a layer's packed weight.
    func append(_ modules: [String], _ layer: PackedLayer, _ weights: [PackedMatrix]) throws {
        let name = PackedLayer.name(modules)
        for (part, weight) in weights.enumerated() {
            let panels = weight.panelBytes
            try append(
                PackedLayer.tensor(name, part: part),
                .uint8,
                [panels.count],
                panels
            )
            if let scales = weight.scaleBytes {
                try append(
                    PackedLayer.scales(name, part: part),
                    .uint8,
                    [scales.count],
                    scales
                )
            }
        }
        metadata[PackedLayer.prefix + name] = layer.text
    }

    /// Completes the file.
    ///
    /// - Parameter metadata: More strings for the header.
    /// - Throws: `SafetensorsError.unwritable`.
    package func finish(metadata: [String: String]) throws {
        try appender.finish(metadata: self.metadata.merging(metadata) { own, _ in own })
    }
}

/// A network's packed weights, mapped from the file that they were saved to.
package struct PackedSource: ParameterSource {
    private let file: SafetensorsFile
    private let layers: [String: PackedLayer]
    private let modules: [String: [Int]]

    /// Whether a file holds packed weights.
    package static func matches(_ file: SafetensorsFile) -> Bool {
        file.metadata.keys.contains { $0.hasPrefix(PackedLayer.prefix) }
    }

    /// Reads what the header says.
    ///
    /// - Throws: `SafetensorsError.header` for a layer that cannot be read.
    package init(_ file: SafetensorsFile) throws(SafetensorsError) {
        self.file = file
        var layers: [String: PackedLayer] = [:]
        var modules: [String: [Int]] = [:]
        for (key, text) in file.metadata where key.hasPrefix(PackedLayer.prefix) {
            let name = String(key.dropFirst(PackedLayer.prefix.count))
            let names = name.split(separator: "+")
            guard let layer = PackedLayer(text), layer.outputs.count == names.count else {
                throw .header(file: file.path, problem: "its layer '\(name)' reads '\(text)'")
            }
            layers[name] = layer
            for (module, outputs) in zip(names, layer.outputs) {
                modules["\(module).weight"] = [outputs, layer.inputs.reduce(0, +)]
            }
        }
        self.layers = layers
        self.modules = modules
    }

    package func shape(of name: String) -> [Int]? { modules[name] ?? file.shape(of: name) }

    package func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try file.read(name, shape: shape, into: destination)
    }

    package func packed(
        _ modules: [(name: String, outputs: Int)],
        inputs: [Int],
        _ precision: Precision,
        isAllWanted: Bool
    ) throws -> [PackedMatrix]? {
        let name = PackedLayer.name(modules.map(\.name))
        guard let layer = layers[name] else {
            throw SafetensorsError.missing(file: file.path, tensor: name)
        }
        let wanted = PackedLayer(
            precision: precision,
            outputs: modules.map(\.outputs),
            inputs: inputs
        )
        guard layer == wanted else {
            throw SafetensorsError.entry(
                file: file.path,
                tensor: name,
                problem: "is '\(layer.text)' where '\(wanted.text)' is asked for"
            )
        }
        let outputs = layer.outputs.reduce(0, +)
        return try inputs.indices.map { part in
            let weight = PackedMatrix(
                outputs: outputs,
                inputs: inputs[part],
                precision: precision,
                panels: try file.memory(
                    PackedLayer.tensor(name, part: part),
                    isAllWanted: isAllWanted
                ),
                scales: precision.isBytes
                    ? try file.memory(
                        PackedLayer.scales(name, part: part),
                        isAllWanted: isAllWanted
                    ) : nil
            )
            guard let weight else {
                throw SafetensorsError.entry(
                    file: file.path,
                    tensor: name,
                    problem: "has another length than its sizes ask for"
                )
            }
            return weight
        }
    }
}
