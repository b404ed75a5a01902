import CKernels
import Tensors
import Testing

/// Weights in four bits, and the bytes that they become.
@Suite
struct NibbleKernelTests {
    private static let columns = Int(KERNEL_PANEL_COLUMNS)

    /// A panel of nibbles with its scales.
    private struct Panel {
        let inputs: Int
        var words: [UInt32]
        var scales = [Float](repeating: -1, count: NibbleKernelTests.columns)
        var sums = [Int32](repeating: -1, count: NibbleKernelTests.columns)

        var byteWords: Int { (inputs + 3) / 4 }

        init(_ w: [Float], outputs: Int, inputs: Int) {
            self.inputs = inputs
            let count = kernel_nibble_words(inputs) * NibbleKernelTests.columns
            words = [UInt32](repeating: .max, count: count)
            kernel_quantize_nibble_columns(&words, &scales, &sums, w, outputs, inputs, inputs)
        }

        /// The bytes of some words, all when left out.
        func bytes(_ part: Range<Int>? = nil) -> [UInt32] {
            let part = part ?? 0..<byteWords
            let guardWord: UInt32 = 0xdead_beef
            var out = [UInt32](
                repeating: guardWord,
                count: (part.count + 1) * NibbleKernelTests.columns
            )
            kernel_nibbles_to_bytes(&out, words, byteWords, part.lowerBound, part.count)
            let end = part.count * NibbleKernelTests.columns
            #expect(out[end...].allSatisfy { $0 == guardWord })
            return Array(out[..<end])
        }
    }

    private func byte(_ words: [UInt32], _ output: Int, _ input: Int) -> Int {
        let word = words[input / 4 * Self.columns + output]
        return Int(Int8(truncatingIfNeeded: word >> UInt32(8 * (input % 4))))
    }

    @Test(
        "values of groups of unlike sizes are met within half a step of their group",
        arguments: [(5, 1), (64, 3), (1, 64), (3, 67), (64, 200), (7, 1030)]
    )
    func values(_ sizes: (outputs: Int, inputs: Int)) {
        let (outputs, inputs) = sizes
        // each group ten times, and then a tenth, of its neighbour
        let w = patternless(outputs * inputs, seed: 1).enumerated().map { index, value in
            value * (index % inputs / 64 % 2 == 0 ? 1 : 0.1)
        }
        let panel = Panel(w, outputs: outputs, inputs: inputs)
        let bytes = panel.bytes()
        for output in 0..<outputs {
            let line = Array(w[output * inputs..<(output + 1) * inputs])
            let found = (0..<inputs).map { byte(bytes, output, $0) }
            #expect(panel.sums[output] == Int32(found.reduce(0, +)))
            for group in stride(from: 0, to: inputs, by: 64) {
                let range = group..<min(group + 64, inputs)
                let greatest = range.map { abs(line[$0]) }.max() ?? 0
                let error = range.map {
                    let error = Double(panel.scales[output] * Float(found[$0]) - line[$0])
                    return error * error
                }.reduce(0, +)
                // a step that reaches the greatest value is a seventh of it, or a factor more
                let step = Double(max(greatest / 7, panel.scales[output]) + panel.scales[output])
                #expect(error <= Double(range.count) * step * step / 4)
            }
        }
        for output in outputs..<Self.columns {
            #expect(panel.scales[output] == 0 && panel.sums[output] == 0)
            #expect((0..<inputs).allSatisfy { byte(bytes, output, $0) == 0 })
        }
        #expect((inputs..<panel.byteWords * 4).allSatisfy { byte(bytes, 0, $0) == 0 })
    }

    @Test("bytes that four bits can say are met exactly, the least and the greatest too")
    func exact() {
        for factor in [1, 7, 15, 16, 18] {
            let least = factor <= 15 ? -8 : -7
            // the greatest value sets the scale; one other group has the factor in question
            var w = (0..<128).map { index in
                index < 64 ? Float([-126, 126][index % 2]) : Float((index % 16 + least) * factor)
            }
            w = w.enumerated().map { index, value in
                index < 64 ? value : min(value, Float(7 * factor))
            }
            let panel = Panel(w, outputs: 1, inputs: 128)
            let bytes = panel.bytes()
            #expect(panel.scales[0] == 1)
            #expect((0..<128).map { Float(byte(bytes, 0, $0)) } == w, "factor \(factor)")
        }
    }

    @Test("a run's bytes are those of the whole")
    func runs() {
        let run = Int(KERNEL_RUN_WORDS)
        let inputs = 4 * (2 * run + 37) - 3
        let panel = Panel(patternless(2 * inputs, seed: 3), outputs: 2, inputs: inputs)
        let whole = panel.bytes()
        let parts = [0..<run, run..<2 * run, 2 * run..<panel.byteWords].map { panel.bytes($0) }
        #expect(parts.flatMap(\.self) == whole)
    }

    @Test(
        "a product is that of the bytes, at every level",
        arguments: KernelLevel.available,
        [(1, 64), (13, 70), (200, 4500)]
    )
    func products(_ level: KernelLevel, _ sizes: (rows: Int, inputs: Int)) {
        let (rows, inputs) = sizes
        let outputs = 130
        let weight = Tensor.gapped(outputs, inputs, seed: 1)
        let x = Tensor.gapped(rows, inputs, seed: 2)
        func product(_ weight: Tensor, _ precision: Precision, _ level: KernelLevel?) -> [Float] {
            let out = Tensor.unwritten(rows, outputs)
            Compute(threads: 2, kernels: level)
                .product(out, x, PackedMatrix(weight, precision: precision))
            return out.values
        }
        // what the nibbles stand for; its bytes are the same, up to each output's scale
        let rounded = Tensor(rows: outputs, columns: inputs)
        for output in 0..<outputs {
            let line = (0..<inputs).map { weight.row(output)[$0] }
            let panel = Panel(line, outputs: 1, inputs: inputs)
            let bytes = panel.bytes()
            for input in 0..<inputs {
                rounded.row(output)[input] = panel.scales[0] * Float(byte(bytes, 0, input))
            }
        }
        let found = product(weight, .int4, level)
        #expect(found == product(weight, .int4, .scalar))
        let expected = product(rounded, .float32, nil)
        let (error, size) = zip(found, expected).reduce((0.0, 0.0)) { sums, pair in
            let difference = Double(pair.0 - pair.1)
            return (sums.0 + difference * difference, sums.1 + Double(pair.1 * pair.1))
        }
        // what the activations lose in their bytes
        #expect((error / size).squareRoot() < 1.2e-2)
    }
}
