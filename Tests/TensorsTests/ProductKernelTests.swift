import CKernels
import Tensors
import Testing

/// The tiles of every level that this processor has, beside their scalar twins.
@Suite
struct ProductKernelTests {
    private static let levels: [UInt32] = (1...4).filter { $0 <= kernel_best_level().rawValue }
    private let rows = Int(KERNEL_PANEL_ROWS)
    private let columns = Int(KERNEL_PANEL_COLUMNS)

    /// Panels of rows and one of columns, of values that are exact in every format.
    private func panels(_ count: Int, inputs: Int, _ format: kernel_format) -> ([UInt32], [UInt32])
    {
        let words = (inputs + (1 << format.rawValue) - 1) >> format.rawValue
        var left = [UInt32](repeating: 1, count: count * words * rows)
        var right = [UInt32](repeating: 1, count: words * columns)
        let x = patternless(count * rows * inputs, seed: 1)
        for panel in 0..<count {
            left.withUnsafeMutableBufferPointer { buffer in
                kernel_pack_rows(
                    buffer.baseAddress.map { $0 + panel * words * rows },
                    Array(x[panel * rows * inputs..<(panel + 1) * rows * inputs]),
                    rows,
                    inputs,
                    inputs,
                    format
                )
            }
        }
        let w = patternless(columns * inputs, seed: 2)
        kernel_pack_columns(&right, w, columns, inputs, inputs, format)
        return (left, right)
    }

    @Test(
        "float32 and bfloat16",
        arguments: levels,
        [(1, 1), (2, 7), (3, 64), (1, 1025), (2, 2100)]
    )
    func floats(_ level: UInt32, _ sizes: (panels: Int, inputs: Int)) {
        for format in [KERNEL_FORMAT_F32, KERNEL_FORMAT_BF16] {
            let (left, right) = panels(sizes.panels, inputs: sizes.inputs, format)
            let words = right.count / columns
            for accumulate: Int32 in [0, 1] {
                let start = TestMatrix(sizes.panels * rows, columns, gap: 5, seed: 3)
                var (fast, plain) = (start, start)
                func run(_ out: inout TestMatrix, _ level: kernel_level) {
                    kernel_product_float(
                        &out.values,
                        out.stride,
                        left,
                        right,
                        sizes.panels,
                        words,
                        format,
                        accumulate,
                        level
                    )
                }
                run(&fast, kernel_level(level))
                run(&plain, KERNEL_LEVEL_SCALAR)
                let tolerance = 4e-6 * Float(sizes.inputs).squareRoot()
                #expect(fast.problem(plain, start: start, tolerance: tolerance) == nil)
            }
        }
    }

    @Test("bytes, to the last bit", arguments: levels, [(1, 1), (2, 7), (3, 64), (1, 4101)])
    func bytes(_ level: UInt32, _ sizes: (panels: Int, inputs: Int)) {
        let (count, inputs) = sizes
        let words = (inputs + 3) / 4
        // the extremes too: 255 times -128 over the whole length
        let left = (0..<count * words * rows).map { index in
            index % 5 == 0 ? UInt32.max : UInt32(truncatingIfNeeded: index &* 2_654_435_761)
        }
        let right = (0..<words * columns).map { index in
            index % 3 == 0 ? 0x8080_8080 : UInt32(truncatingIfNeeded: index &* 40503 &* 65537)
        }
        let scales = patternless(count * rows, seed: 1)
        let zeros = (0..<count * rows).map { Int32($0 * 37 % 256) }
        let factors = patternless(columns, seed: 2)
        let sums = (0..<columns).map { Int32($0 * 91 - 2000) }
        for accumulate: Int32 in [0, 1] {
            let start = TestMatrix(count * rows, columns, gap: 5, seed: 3)
            var (fast, plain) = (start, start)
            var room = [Int32](repeating: 7, count: count * rows * columns)
            func run(_ out: inout TestMatrix, _ level: kernel_level) {
                scales.withUnsafeBufferPointer { scales in
                    zeros.withUnsafeBufferPointer { zeros in
                        factors.withUnsafeBufferPointer { factors in
                            sums.withUnsafeBufferPointer { sums in
                                kernel_product_bytes(
                                    &out.values,
                                    out.stride,
                                    &room,
                                    left,
                                    right,
                                    nil,
                                    count,
                                    words,
                                    kernel_scales(
                                        row_scale: scales.baseAddress,
                                        row_zero: zeros.baseAddress,
                                        column_scale: factors.baseAddress,
                                        column_sum: sums.baseAddress
                                    ),
                                    accumulate,
                                    level
                                )
                            }
                        }
                    }
                }
            }
            run(&fast, kernel_level(level))
            run(&plain, KERNEL_LEVEL_SCALAR)
            #expect(fast.problem(plain, start: start, tolerance: 0) == nil)
        }
    }

    @Test("a row's bytes stand for its values within half a step")
    func quantizedRows() {
        for (columns, shift) in [(1, Float(0)), (13, 0), (64, 3), (257, -5)] {
            let x = patternless(4 * columns, seed: 1).map { $0 + shift }
            let words = (columns + 3) / 4
            var panel = [UInt32](repeating: .max, count: words * rows)
            var scale = [Float](repeating: 0, count: rows)
            var zero = [Int32](repeating: -1, count: rows)
            kernel_quantize_rows(&panel, &scale, &zero, x, 4, columns, columns)
            for row in 0..<4 {
                #expect((0...255).contains(zero[row]))
                for column in 0..<columns {
                    let word = panel[column / 4 * rows + row]
                    let byte = Int32(word >> UInt32(8 * (column % 4)) & 255)
                    let value = scale[row] * Float(byte - zero[row])
                    #expect(abs(value - x[row * columns + column]) <= 1.01 * scale[row])
                }
            }
            for row in 4..<rows {
                #expect((0..<words).allSatisfy { panel[$0 * rows + row] == 0 })
            }
        }
    }

    @Test("a column's bytes stand for its values within half a step, and their sum is right")
    func quantizedColumns() {
        let (outputs, inputs) = (5, 70)
        let w = patternless(outputs * inputs, seed: 1)
        let words = (inputs + 3) / 4
        var panel = [UInt32](repeating: .max, count: words * columns)
        var scale = [Float](repeating: -1, count: columns)
        var sum = [Int32](repeating: -1, count: columns)
        kernel_quantize_columns(&panel, &scale, &sum, w, outputs, inputs, inputs)
        for output in 0..<outputs {
            var total: Int32 = 0
            for input in 0..<inputs {
                let word = panel[input / 4 * columns + output]
                let byte = Int8(truncatingIfNeeded: word >> UInt32(8 * (input % 4)))
                total += Int32(byte)
                let value = scale[output] * Float(byte)
                #expect(abs(value - w[output * inputs + input]) <= 0.51 * scale[output])
            }
            #expect(sum[output] == total)
        }
        #expect((outputs..<columns).allSatisfy { scale[$0] == 0 && sum[$0] == 0 })
    }

    @Test("bfloat16 rows become the bytes of the same values in float32")
    func quantizedHalves() {
        let columns = 2 * 1024 + 6
        let x = patternless(2 * columns, seed: 1)
        var halves = [UInt16](repeating: 0, count: x.count)
        kernel_narrow_bf16(&halves, x, x.count)
        var rounded = x
        kernel_widen_bf16(&rounded, halves, x.count)
        let words = (columns + 3) / 4
        var (one, other) = (
            [UInt32](repeating: 0, count: words * rows), [UInt32](repeating: 1, count: words * rows)
        )
        var scale = [[Float]](repeating: [Float](repeating: 0, count: rows), count: 2)
        var zero = [[Int32]](repeating: [Int32](repeating: 0, count: rows), count: 2)
        kernel_quantize_rows(&one, &scale[0], &zero[0], rounded, 2, columns, columns)
        kernel_quantize_bf16_rows(&other, &scale[1], &zero[1], halves, 2, columns, columns)
        #expect(one == other && scale[0] == scale[1] && zero[0] == zero[1])
    }
}
