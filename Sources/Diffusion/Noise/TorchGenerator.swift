import Glibc

/// The precision in which noise is drawn.
package enum NoisePrecision: String, Sendable, CaseIterable, Codable {
    /// Uniforms of 24 bits and Box-Muller in float32.
    case float32
    /// Uniforms of 8 bits and Box-Muller rounded to bfloat16 at every step.
    case bfloat16
}

/// A generator of normal values equal to those of PyTorch 2.6.0's CPU generator.
///
/// The state goes on between draws: a second draw continues where the first one ended. Float32
/// values equal `torch.randn` on a machine with AVX2 bit for bit (machines on which PyTorch takes
/// another path differ from it by less than 1e-6); bfloat16 values equal it bit for bit anywhere.
package struct TorchGenerator: Sendable {
    /// Least count of a draw; PyTorch goes another way below it.
    package static let minimumCount = 16

    private var twister: MersenneTwister

    /// Seeds as `torch.Generator("cpu").manual_seed(seed)`, which keeps the low 32 bits.
    package init(seed: UInt64) {
        twister = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed))
    }

    /// Returns `count` normal values, as `torch.randn(count, generator:dtype:)`.
    ///
    /// - Parameters:
    ///   - count: At least ``minimumCount``.
    ///   - precision: The dtype that PyTorch would draw; the values are widened to float32.
    /// - Returns: Values of shape (count,).
    package mutating func normal(count: Int, precision: NoisePrecision = .float32) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            // The buffer has the capacity asked for; every value of it is written below.
            let values = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
            values.initialize(repeating: 0)
            fillNormal(values, precision: precision)
            initialized = count
        }
    }

    /// Fills `values`, of shape (count,) with count ≥ ``minimumCount``, with normal values.
    ///
    /// All uniforms are drawn first, in order; then each block of 16 goes through Box-Muller. A
    /// last block that is not whole is drawn again with the 16 values that end it.
    package mutating func fillNormal(
        _ values: UnsafeMutableBufferPointer<Float>,
        precision: NoisePrecision = .float32
    ) {
        precondition(values.count >= Self.minimumCount, "a draw has at least 16 values")
        for index in values.indices {
            values[index] = uniform(precision)
        }
        for start in stride(from: 0, through: values.count - 16, by: 16) {
            Self.transform(values, from: start, precision)
        }
        if values.count % 16 != 0 {
            let start = values.count - 16
            for index in start..<values.count {
                values[index] = uniform(precision)
            }
            Self.transform(values, from: start, precision)
        }
    }

    /// Returns a uniform value in 0 ..< 1 with as many bits as the precision's significand has.
    private mutating func uniform(_ precision: NoisePrecision) -> Float {
        switch precision {
        case .float32: Float(twister.next() & 0xff_ffff) * 0x1p-24
        case .bfloat16: Float(twister.next() & 0xff) * 0x1p-8
        }
    }

    /// Turns 16 uniforms into normal values in place: pairs are (j, j + 8).
    private static func transform(
        _ values: UnsafeMutableBufferPointer<Float>,
        from start: Int,
        _ precision: NoisePrecision
    ) {
        for first in start..<start + 8 {
            let (a, b) =
                switch precision {
                case .float32: BoxMuller.float32(values[first], values[first + 8])
                case .bfloat16: BoxMuller.bfloat16(values[first], values[first + 8])
                }
            values[first] = a
            values[first + 8] = b
        }
    }
}

/// The Box-Muller transform, with PyTorch's order of operations and rounding.
private enum BoxMuller {
    static func float32(_ first: Float, _ second: Float) -> (Float, Float) {
        let radius = (-2 * CephesFloat.logarithm(1 - first)).squareRoot()
        let (sine, cosine) = CephesFloat.sineCosine(2 * Float(3.14159265358979323846) * second)
        return (radius * cosine + 0, radius * sine + 0)
    }

    static func bfloat16(_ first: Float, _ second: Float) -> (Float, Float) {
        let logarithm = rounded(logf(rounded(1 - first)))
        let radius = rounded(rounded(-2 * logarithm).squareRoot())
        let theta = rounded(Float(2 * Double.pi * Double(second)))
        let a = rounded(radius * rounded(cosf(theta)))
        let b = rounded(radius * rounded(sinf(theta)))
        return (a + 0, b + 0)
    }

    /// Returns the nearest bfloat16, ties to even; finite values only.
    private static func rounded(_ value: Float) -> Float {
        let bits = value.bitPattern
        return Float(bitPattern: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) & 0xffff_0000)
    }
}
