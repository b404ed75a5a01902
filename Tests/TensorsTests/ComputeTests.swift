import Tensors
import Testing

/// Operations against plain loops in double, for sizes that do not fill their parts.
@Suite
struct ComputeTests {
    /// x·Wᵀ, a row of x after the other.
    private func product(_ x: Tensor, _ weight: Tensor) -> [Double] {
        let (a, b) = (x.values.map { Double($0) }, weight.values.map { Double($0) })
        let (rows, columns, inputs) = (x.rows, weight.rows, x.columns)
        return a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                var out = [Double](repeating: 0, count: rows * columns)
                for row in 0..<rows {
                    for column in 0..<columns {
                        var sum = 0.0
                        for k in 0..<inputs {
                            sum += a[row * inputs + k] * b[column * inputs + k]
                        }
                        out[row * columns + column] = sum
                    }
                }
                return out
            }
        }
    }

    /// Runs an operation with 1, 2 and 3 threads: the same bits; returns the values.
    private func onAllThreads(_ operation: (Compute) -> Tensor) -> [Float] {
        let one = operation(Compute(threads: 1))
        for threads in 2...3 {
            #expect(operation(Compute(threads: threads)).hasBits(of: one))
        }
        return one.values
    }

    /// Sizes that straddle panels of 6 rows and 64 columns, tiles of 192 rows and 256 columns.
    private static let sizes = [
        (193, 257, 2), (1, 1, 1), (1, 257, 33), (7, 300, 17), (5, 2, 40), (37, 19, 1025),
        (192, 64, 5), (385, 3, 6), (6, 513, 2),
    ]

    @Test(arguments: sizes)
    func linear(rows: Int, outputs: Int, inputs: Int) {
        let x = Tensor.gapped(rows, inputs, seed: 1)
        let weight = Tensor.gapped(outputs, inputs, seed: 2)
        let bias = Tensor(rows: 1, columns: outputs, values: patternless(outputs, seed: 3))
        let expected = product(x, weight)
        let tolerance = 1e-5 + 1e-7 * Double(inputs)
        let plain = onAllThreads { compute in
            let out = Tensor.unwritten(rows, outputs)
            compute.product(out, x, PackedMatrix(weight, precision: .float32))
            return out
        }
        #expect(error(plain, expected) < tolerance)
        let biased = onAllThreads { compute in
            let out = Tensor.unwritten(rows, outputs)
            compute.linear(out, x, Linear(weight: weight, bias: bias))
            return out
        }
        let sums = expected.enumerated().map { $1 + Double(bias.base[$0 % outputs]) }
        #expect(error(biased, sums) < tolerance)

        let gate = Tensor(rows: 1, columns: outputs, values: patternless(outputs, seed: 5))
        let start = Tensor(
            rows: rows,
            columns: outputs,
            values: patternless(rows * outputs, seed: 6)
        )
        let added = onAllThreads { compute in
            let residual = Tensor.unwritten(rows, outputs)
            residual.copy(from: start)
            compute.addLinear(residual, gate: gate, x, Linear(weight: weight, bias: bias))
            return residual
        }
        let gated = sums.enumerated().map {
            Double(start.base[$0]) + Double(gate.base[$0 % outputs]) * $1
        }
        #expect(error(added, gated) < 2 * tolerance)
    }

    @Test("a residual without gate or bias")
    func plainResidual() {
        let (x, weight) = (Tensor.gapped(45, 9, seed: 1), Tensor.gapped(11, 9, seed: 2))
        let residual = Tensor.gapped(45, 11, seed: 3)
        let start = residual.values
        Compute(threads: 2).addLinear(residual, gate: nil, x, Linear(weight: weight, bias: nil))
        let expected = zip(start, product(x, weight)).map { Double($0) + $1 }
        #expect(error(residual.values, expected) < 1e-5)
    }

    @Test("an activation follows the bias", arguments: [1, 3, 50])
    func activations(rows: Int) {
        let (x, weight) = (Tensor.gapped(rows, 9, seed: 1), Tensor.gapped(21, 9, seed: 2))
        let bias = Tensor(rows: 1, columns: 21, values: patternless(21, seed: 3))
        let compute = Compute(threads: 2)
        func output(_ activation: Activation) -> [Float] {
            let out = Tensor(rows: rows, columns: 21)
            compute.linear(out, x, Linear(weight: weight, bias: bias), activation: activation)
            return out.values
        }
        let plain = output(.identity)
        for activation in [Activation.geluTanh, .silu, .quickGELU] {
            let alone = Tensor(rows: rows, columns: 21, values: plain)
            compute.activate(alone, activation)
            #expect(output(activation) == alone.values)
            #expect(alone.values != plain)
        }
    }
}
