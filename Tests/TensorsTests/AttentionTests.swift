import Tensors
import Testing

/// Attention against plain loops in double.
@Suite
struct AttentionTests {
    /// Runs an operation with 1, 2 and 3 threads: the same bits; returns the values.
    private func onAllThreads(_ operation: (Compute) -> Tensor) -> [Float] {
        let one = operation(Compute(threads: 1))
        for threads in 2...3 {
            #expect(operation(Compute(threads: threads)).hasBits(of: one))
        }
        return one.values
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
                let out = Tensor.unwritten(queries, heads * width)
                compute.biasedAttention(
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

    @Test(
        "attention in one pass",
        arguments: [
            (300, 77, 3, 10), (97, 512, 1, 8), (1, 5, 2, 4), (33, 1, 2, 6), (200, 1030, 1, 130),
        ],
        [Precision.float32, .bfloat16, .int8]
    )
    func onePass(sizes: (queries: Int, keys: Int, heads: Int, width: Int), _ precision: Precision) {
        let (queries, keys, heads, width) = sizes
        let q = Tensor.gapped(queries, heads * width, seed: 1)
        let k = Tensor.gapped(keys, heads * width, seed: 2)
        let v = Tensor.gapped(keys, heads * width, seed: 3)
        let scale = 0.5 / Float(width).squareRoot()
        let out = onAllThreads { compute in
            let out = Tensor.unwritten(queries, heads * width)
            compute.attention(out, q: q, k: k, v: v, heads: heads, scale: scale, precision)
            return out
        }
        let expected = plainAttention(q, k, v, heads, nil, false, scale: Double(scale))
        #expect(error(out, expected) < (precision == .float32 ? 5e-6 : 2e-2))
    }

    @Test(
        "queries and keys in bytes, the same bits at every level",
        arguments: KernelLevel.available
    )
    func bytes(_ level: KernelLevel) {
        let q = Tensor.gapped(100, 2 * 70, seed: 1)
        let k = Tensor.gapped(600, 2 * 70, seed: 2)
        // values of one are summed exactly: what is left are the logits and their exponentials
        let v = Tensor(rows: 600, columns: 2 * 70)
        v.fill(1)
        let out = Tensor(rows: 100, columns: 2 * 70)
        Compute(threads: 2, kernels: level)
            .attention(out, q: q, k: k, v: v, heads: 2, scale: 0.1, .int8)
        #expect(out.values.allSatisfy { abs($0 - 1) < 4e-3 })
    }

    @Test(
        "logits far apart neither overflow nor vanish",
        arguments: [Precision.float32, .bfloat16, .int8]
    )
    func farLogits(_ precision: Precision) {
        let q = Tensor.gapped(7, 16, seed: 1)
        let k = Tensor.gapped(600, 16, seed: 2)
        let v = Tensor.gapped(600, 16, seed: 3)
        // the greatest logit stands in the second run of keys
        for column in 0..<16 { k.row(550)[column] = 100 * q.row(3)[column] }
        let out = Tensor(rows: 7, columns: 16)
        Compute(threads: 1).attention(out, q: q, k: k, v: v, heads: 1, scale: 1, precision)
        let tolerance: Float = precision == .float32 ? 1e-6 : 1e-2
        for column in 0..<16 {
            #expect(abs(out.row(3)[column] - v.row(550)[column]) <= tolerance)
        }
        #expect(out.isFinite)
    }

    private func plainAttention(
        _ q: Tensor,
        _ k: Tensor,
        _ v: Tensor,
        _ heads: Int,
        _ bias: Tensor?,
        _ causal: Bool,
        scale: Double = 0.5
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
                    return exponential(scale * sum + Double(added?[key] ?? 0))
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
        compute.attention(
            out,
            q: parts[0],
            k: parts[1],
            v: parts[2],
            heads: 3,
            scale: 1,
            .float32
        )
        let q = qkv.columns(0..<12)
        compute.attention(
            q,
            q: q,
            k: qkv.columns(12..<24),
            v: qkv.columns(24..<36),
            heads: 3,
            scale: 1,
            .float32
        )
        #expect(q.hasBits(of: out))
    }
}
