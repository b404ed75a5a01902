import CKernels
import Tensors
import Testing

/// Sums over ranks against their plain twins, for every length round the vectors and blocks.
@Suite
struct ReductionKernelTests {
    private static let lengths = Array(0...40) + [1023, 1024, 1025, 2100]

    @Test("sums of float32 are the plain ones to the last bit", arguments: 1...5)
    func float32(ranks: Int) {
        for n in Self.lengths {
            let parts = (0..<ranks - 1).map { patternless(n, seed: UInt64($0)) }
            for place in 0..<ranks {
                var fast = patternless(n, seed: 9)
                var plain = fast
                Self.withPointers(parts) { parts in
                    kernel_sum_ranks_f32(&fast, parts, ranks - 1, place, n)
                    kernel_sum_ranks_f32_scalar(&plain, parts, ranks - 1, place, n)
                }
                #expect(fast == plain, "\(n) values of rank \(place)")
            }
        }
    }

    @Test("sums of bfloat16 are the plain ones to the last bit", arguments: 1...5)
    func bfloat16(ranks: Int) {
        for n in Self.lengths {
            let parts = (0..<ranks - 1).map { seed in
                patternless(n, seed: UInt64(seed)).map { UInt16($0.bitPattern >> 16) }
            }
            for place in 0..<ranks {
                var fast = patternless(n, seed: 9)
                var plain = fast
                var fastRounded = [UInt16](repeating: 0, count: n)
                var plainRounded = fastRounded
                Self.withPointers(parts) { parts in
                    kernel_sum_ranks_bf16(&fast, &fastRounded, parts, ranks - 1, place, n)
                    kernel_sum_ranks_bf16_scalar(&plain, &plainRounded, parts, ranks - 1, place, n)
                }
                #expect(fast == plain && fastRounded == plainRounded, "\(n) of rank \(place)")
                #expect(fast.map { UInt16($0.bitPattern >> 16) } == fastRounded)
            }
        }
    }

    @Test("what is no number stays none, and infinity stays infinite")
    func special() {
        let values: [Float] = [.nan, .infinity, -.infinity, Float(bitPattern: 0x7fff_ffff), 3.4e38]
        var sum = values
        sum.withUnsafeMutableBufferPointer { sum in
            let zeros = [UInt16](repeating: 0, count: sum.count)
            var rounded = zeros
            zeros.withUnsafeBufferPointer { zeros in
                RankSum.add(sum, rounded: &rounded, of: 0, to: zeros)
            }
        }
        #expect(sum[0].isNaN && sum[1] == .infinity && sum[2] == -.infinity && sum[3].isNaN)
        #expect(sum[4] == .infinity)
    }

    private static func withPointers<Value>(
        _ parts: [[Value]],
        _ body: ([UnsafePointer<Value>?]) -> Void
    ) {
        let copies = parts.map { part in
            let copy = UnsafeMutablePointer<Value>.allocate(capacity: max(part.count, 1))
            copy.initialize(from: part, count: part.count)
            return copy
        }
        defer { copies.forEach { $0.deallocate() } }
        body(copies.map { UnsafePointer($0) })
    }
}
