import FoundationEssentials
import Networks
import Testing

/// What diffusers' AutoencoderKL makes of the formula's weights and inputs.
struct AutoencoderGolden: Decodable, Sendable, CustomTestStringConvertible {
    struct Output: Decodable, Sendable {
        let offset: Int
        let count: Int
        /// How far the reference's float32 output is from its float64 output at most.
        let rounding: Double

        var values: ArraySlice<Float> {
            AutoencoderGolden.values[offset..<offset + count]
        }
    }

    let name: String
    let configuration: AutoencoderConfiguration
    let image: [Int]
    let latent: [Int]
    let mean: Output
    let logVariance: Output
    let decoded: Output

    var testDescription: String { name }

    static let all: [AutoencoderGolden] =
        read("json").flatMap {
            try? JSONDecoder().decode([AutoencoderGolden].self, from: $0)
        } ?? []

    private static let values: [Float] = (read("f32") ?? Data()).withUnsafeBytes { bytes in
        stride(from: 0, to: bytes.count, by: 4).map { offset in
            Float(
                bitPattern: UInt32(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                )
            )
        }
    }

    private static func read(_ suffix: String) -> Data? {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        return try? Data(contentsOf: URL(filePath: "/\(folder)/Goldens/autoencoder.\(suffix)"))
    }
}
