import Tensors

/// Parameters by a formula of their names, as Tests/Reference/make_autoencoder_goldens.py has it.
struct FormulaSource: ParameterSource {
    /// Parameters that have one value throughout instead, by name.
    var constants: [String: Float] = [:]
    /// The names that the source lacks.
    var missing: Set<String> = []

    struct Missing: Error, Equatable {
        let name: String
    }

    func shape(of name: String) -> [Int]? { nil }

    func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        guard !missing.contains(name) else { throw Missing(name: name) }
        if let constant = constants[name] {
            destination.update(repeating: constant)
            return
        }
        let inputs = shape.dropFirst().reduce(1, *)
        let spread = (3 / Double(inputs)).squareRoot()
        for (index, value) in FormulaSource.uniform(name, count: destination.count).enumerated() {
            if shape.count > 1 {
                destination[index] = Float(value * spread)
            } else if name.hasSuffix(".bias") {
                destination[index] = Float(value * 0.1)
            } else {
                destination[index] = Float(1 + value * 0.25)
            }
        }
    }

    /// Values in -1..<1: SplitMix64, seeded with the FNV-1a hash of the name.
    static func uniform(_ name: String, count: Int) -> [Double] {
        var state: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 {
            state = (state ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        return (0..<count).map { _ in
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            z ^= z >> 31
            return Double(z >> 40) / 8_388_608 - 1
        }
    }

    /// A matrix of such values.
    static func tensor(_ name: String, rows: Int, columns: Int) -> Tensor {
        let values = uniform(name, count: rows * columns).map { Float($0) }
        return Tensor(rows: rows, columns: columns, values: values)
    }
}
