import Diffusion
import Foundation
import Testing

@Suite struct TorchGeneratorTests {
    /// Draws made one after the other from one generator.
    struct Case: Decodable {
        struct Draw: Decodable {
            let count: Int
            let first: [UInt32]
            let last: [UInt32]
            let digest: String
        }

        let seed: UInt64
        let precision: String
        let draws: [Draw]
    }

    /// FNV-1a over the little-endian bit patterns.
    private static func digest(_ values: [Float]) -> String {
        var digest: UInt64 = 0xcbf2_9ce4_8422_2325
        for value in values {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                let byte = UInt64(value.bitPattern >> shift & 0xff)
                digest = (digest ^ byte) &* 0x100_0000_01b3
            }
        }
        let text = String(digest, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    @Test("draws equal PyTorch's bit for bit", arguments: NoisePrecision.allCases)
    func draws(precision: NoisePrecision) throws {
        let url = Bundle.module.bundleURL.appending(path: "Fixtures/noise/noise.json")
        let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: url))
            .filter { $0.precision == precision.rawValue }
        #expect(cases.count == 9)
        for golden in cases {
            var generator = TorchGenerator(seed: golden.seed)
            for draw in golden.draws {
                let values = generator.normal(count: draw.count, precision: precision)
                #expect(values.prefix(16).map(\.bitPattern) == draw.first, "seed \(golden.seed)")
                #expect(values.suffix(16).map(\.bitPattern) == draw.last, "seed \(golden.seed)")
                #expect(Self.digest(values) == draw.digest, "seed \(golden.seed)")
            }
        }
    }

    @Test("a draw fills the caller's buffer and goes on where the last one ended")
    func filling() {
        var generator = TorchGenerator(seed: 3)
        var buffer = [Float](repeating: .nan, count: 64)
        buffer.withUnsafeMutableBufferPointer { generator.fillNormal($0) }
        var other = TorchGenerator(seed: 3 + (1 << 32))
        #expect(other.normal(count: 64) == buffer)
        #expect(generator.normal(count: 32) == other.normal(count: 32))
        #expect(Array(buffer.prefix(32)) != generator.normal(count: 32))
    }
}
