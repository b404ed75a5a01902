import Dispatch
package import Tensors

/// The random values of one tensor, with a spread that makes every path of a network matter.
struct TensorNoise {
    private let key: UInt64
    private let mean: Float
    private let spread: Float

    init(name: String, shape: [Int], seed: UInt64) {
        // FNV-1a over the name, mixed with the seed.
        let hash = name.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        key = Self.mix(hash ^ Self.mix(seed))
        let isScale = shape.count == 1 && name.contains("norm") && name.hasSuffix("weight")
        mean = isScale ? 1 : 0
        if shape.count > 1 {
            spread = 0.7 / Float(shape.dropFirst().reduce(1, *)).squareRoot()
        } else {
            spread = isScale ? 0.1 : 0.05
        }
    }

    /// Values that are nearly normal: sums of four uniforms of 16 bits.
    func fill(_ values: UnsafeMutableBufferPointer<Float>, from first: Int) {
        let scale = spread * 1.732_050_8 / 65536
        for index in values.indices {
            let counter = UInt64(truncatingIfNeeded: first + index)
            let bits = Self.mix(key &+ counter &* 0x9e37_79b9_7f4a_7c15)
            let sum =
                Int32(bits & 0xFFFF) + Int32(bits >> 16 & 0xFFFF)
                + Int32(bits >> 32 & 0xFFFF) + Int32(bits >> 48)
            values[index] = mean + Float(sum - 131_070) * scale
        }
    }

    /// The finaliser of SplitMix64.
    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Random parameters of any shape, by their names.
package struct NoiseSource: ParameterSource {
    private let seed: UInt64
    private let type: SafetensorsType

    /// Values of a seed, rounded to `type`: float32 or bfloat16.
    package init(seed: UInt64, type: SafetensorsType = .float32) {
        self.seed = seed
        self.type = type
    }

    package func shape(of name: String) -> [Int]? { nil }

    package func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) {
        let noise = TensorNoise(name: name, shape: shape, seed: seed)
        nonisolated(unsafe) let values = destination
        let part = 1 << 18
        let parts = (destination.count + part - 1) / part
        DispatchQueue.concurrentPerform(iterations: parts) { index in
            let range = index * part..<min(values.count, (index + 1) * part)
            let own = UnsafeMutableBufferPointer(rebasing: values[range])
            noise.fill(own, from: range.lowerBound)
            if type == .bfloat16 { own.roundToBFloat16() }
        }
    }

    package func read(
        _ name: String,
        shape: [Int],
        rows: Range<Int>,
        columns: Range<Int>,
        into destination: Tensor
    ) {
        let noise = TensorNoise(name: name, shape: shape, seed: seed)
        DispatchQueue.concurrentPerform(iterations: rows.count) { row in
            let own = UnsafeMutableBufferPointer(
                start: destination.row(row),
                count: columns.count
            )
            noise.fill(own, from: (rows.lowerBound + row) * shape[1] + columns.lowerBound)
            if type == .bfloat16 { own.roundToBFloat16() }
        }
    }
}
