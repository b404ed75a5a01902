import CKernels
import Testing

@Suite("Conversion of stored weights")
struct SafetensorsConversionTests {
    @Test("eight-bit floats equal torch's in all 256 codes")
    func float8() {
        let codes = (0...255).map(UInt8.init)
        var values = [Float](repeating: 0, count: 256)
        kernel_widen_e4m3(&values, codes, 1, 256)
        expect(values, equal: SafetensorsFixtures.e4m3)
        kernel_widen_e5m2(&values, codes, 1, 256)
        expect(values, equal: SafetensorsFixtures.e5m2)
        kernel_widen_e4m3(&values, codes, 0.25, 256)
        #expect(values[0x38] == 0.25)
    }

    @Test("halves equal the language's own in all 65536 codes, fast and scalar")
    func float16() {
        let codes = (0...65535).map(UInt16.init)
        let expected = codes.map { Float(Float16(bitPattern: $0)).bitPattern }
        var values = [Float](repeating: 0, count: codes.count)
        kernel_widen_f16(&values, codes, codes.count)
        expect(values, equal: expected)
        kernel_widen_f16_scalar(&values, codes, codes.count)
        expect(values, equal: expected)
    }

    @Test("the fast half conversion equals its scalar twin at each length and odd addresses")
    func float16Lengths() {
        let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) & 0x7B }
        for count in 0...40 {
            for offset in 0...3 {
                var fast = [Float](repeating: -1, count: count + 1)
                var scalar = fast
                bytes.withUnsafeBytes { buffer in
                    guard let base = buffer.baseAddress else { return }
                    kernel_widen_f16(&fast, base + offset, count)
                    kernel_widen_f16_scalar(&scalar, base + offset, count)
                }
                #expect(fast == scalar)
                #expect(fast[count] == -1)
            }
        }
    }

    @Test("bfloat16 widens to the upper half, and narrows as torch rounds")
    func bfloat16() {
        let codes = (0...65535).map(UInt16.init)
        var values = [Float](repeating: 0, count: codes.count)
        kernel_widen_bf16(&values, codes, codes.count)
        expect(values, equal: codes.map { UInt32($0) << 16 })

        let wide: [Float] = [
            1, 1.003_906_25, 1.011_718_75, -3.141_592_7, 3.4e38, .leastNonzeroMagnitude, 0.1,
        ]
        var narrow = [UInt16](repeating: 0, count: wide.count)
        kernel_narrow_bf16(&narrow, wide, wide.count)
        #expect(narrow == [0x3F80, 0x3F80, 0x3F82, 0xC049, 0x7F80, 0x0000, 0x3DCD])
        kernel_narrow_bf16(&narrow, [Float](repeating: .nan, count: 1), 1)
        #expect(narrow[0] & 0x7FFF > 0x7F80)
    }

    @Test(
        "the first value that is not finite is found at each place",
        arguments: [0, 1, 7, 31, 1023, 1024, 1025, 2048, 2500]
    )
    func firstNonFinite(count: Int) {
        let values = (0..<count).map(Float.init)
        #expect(kernel_first_nonfinite_f32(values, count) == count)
        for place in [0, count / 2, count - 1] where count > 0 {
            for bad in [Float.nan, .infinity, -.infinity] {
                var damaged = values
                damaged[place] = bad
                damaged[count - 1] = bad
                #expect(kernel_first_nonfinite_f32(damaged, count) == place)
                #expect(kernel_first_nonfinite_f32_scalar(damaged, count) == place)
            }
        }
    }

    private func expect(_ values: [Float], equal expected: [UInt32]) {
        #expect(values.count == expected.count)
        let wrong = values.indices.first { index in
            let bits = Float(bitPattern: expected[index])
            return bits.isNaN
                ? !values[index].isNaN : values[index].bitPattern != expected[index]
        }
        #expect(wrong == nil, "code \(wrong ?? 0)")
    }
}
