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
            #expect(operation(Compute(threads: threads)).bits == one.bits)
        }
        return one.values
    }

    /// Sizes that straddle the parts of a product: 640 rows, 1024 columns, 256 for few rows.
    private static let sizes = [
        (641, 1025, 3), (1, 1, 1), (1, 257, 33), (4, 300, 17), (5, 2, 40), (37, 19, 300),
        (640, 7, 5), (1281, 3, 6), (6, 2049, 2),
    ]

    @Test(arguments: sizes)
    func linear(rows: Int, outputs: Int, inputs: Int) {
        let x = Tensor.gapped(rows, inputs, seed: 1)
        let weight = Tensor.gapped(outputs, inputs, seed: 2)
        let bias = Tensor(rows: 1, columns: outputs, values: patternless(outputs, seed: 3))
        let expected = product(x, weight)
        let tolerance = 1e-5 + 1e-7 * Double(inputs)
        let plain = onAllThreads { compute in
            let out = Tensor.gapped(rows, outputs, seed: 4)
            compute.product(out, x, weight)
            return out
        }
        #expect(error(plain, expected) < tolerance)
        let biased = onAllThreads { compute in
            let out = Tensor.gapped(rows, outputs, seed: 4)
            compute.linear(out, x, Linear(weight: weight, bias: bias))
            return out
        }
        let sums = expected.enumerated().map { $1 + Double(bias.base[$0 % outputs]) }
        #expect(error(biased, sums) < tolerance)

        let gate = Tensor(rows: 1, columns: outputs, values: patternless(outputs, seed: 5))
        let start = patternless(rows * outputs, seed: 6)
        let added = onAllThreads { compute in
            let residual = Tensor.gapped(rows, outputs, seed: 6)
            compute.addLinear(residual, gate: gate, x, Linear(weight: weight, bias: bias))
            return residual
        }
        let gated = sums.enumerated().map {
            Double(start[$0]) + Double(gate.base[$0 % outputs]) * $1
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

    @Test(
        "attention, head by head",
        arguments: [
            (300, 77, 3, 10), (257, 257, 1, 8), (1, 5, 2, 4), (33, 1, 2, 6), (513, 9, 1, 2),
        ]
    )
    func attention(queries: Int, keys: Int, heads: Int, width: Int) {
        let q = Tensor.gapped(queries, heads * width, seed: 1)
        let k = Tensor.gapped(keys, heads * width, seed: 2)
        let v = Tensor.gapped(keys, heads * width, seed: 3)
        let bias = Tensor(
            rows: heads * queries,
            columns: keys,
            values: patternless(heads * queries * keys, seed: 4)
        )
        for (biased, causal) in [(false, false), (true, false), (false, true)] {
            let out = onAllThreads { compute in
                let out = Tensor.gapped(queries, heads * width, seed: 5)
                compute.attention(
                    out,
                    q: q,
                    k: k,
                    v: v,
                    heads: heads,
                    scale: 0.5,
                    bias: biased ? bias : nil,
                    causal: causal
                )
                return out
            }
            let expected = plainAttention(q, k, v, heads, biased ? bias : nil, causal)
            #expect(error(out, expected) < 1e-5)
        }
    }

    private func plainAttention(
        _ q: Tensor,
        _ k: Tensor,
        _ v: Tensor,
        _ heads: Int,
        _ bias: Tensor?,
        _ causal: Bool
    ) -> [Double] {
        let (width, keys) = (q.columns / heads, k.rows)
        var out = [Double](repeating: 0, count: q.rows * q.columns)
        for head in 0..<heads {
            let first = head * width
            for query in 0..<q.rows {
                let seen = causal ? min(query + 1, keys) : keys
                let row = q.row(query) + first
                let added = bias?.row(head * q.rows + query)
                let weights = (0..<seen).map { key in
                    let other = k.row(key) + first
                    let sum = (0..<width).reduce(0.0) { $0 + Double(row[$1]) * Double(other[$1]) }
                    return exponential(0.5 * sum + Double(added?[key] ?? 0))
                }
                let total = weights.reduce(0, +)
                for (key, weight) in weights.enumerated() {
                    let values = v.row(key) + first
                    for channel in 0..<width {
                        out[query * q.columns + first + channel] +=
                            weight / total * Double(values[channel])
                    }
                }
            }
        }
        return out
    }

    @Test("the result of an attention may take the queries' place")
    func attentionInPlace() {
        let qkv = Tensor.gapped(270, 3 * 12, seed: 1)
        let parts = (0..<3).map { qkv.columns($0 * 12..<($0 + 1) * 12).copied }
        let compute = Compute(threads: 2)
        let out = Tensor(rows: 270, columns: 12)
        compute.attention(out, q: parts[0], k: parts[1], v: parts[2], heads: 3, scale: 1)
        let q = qkv.columns(0..<12)
        compute.attention(
            q,
            q: q,
            k: qkv.columns(12..<24),
            v: qkv.columns(24..<36),
            heads: 3,
            scale: 1
        )
        #expect(q.bits == out.bits)
    }
}
