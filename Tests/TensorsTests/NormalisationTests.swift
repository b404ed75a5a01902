import Glibc
import Tensors
import Testing

/// The exponential function in double, for plain loops.
func exponential(_ x: Double) -> Double { exp(x) }

/// Normalisations and sums over rows, which are shared out 32 at a time.
@Suite
struct NormalisationTests {
    private static let sizes = [(1, 1), (31, 7), (32, 16), (33, 17), (100, 65)]

    private func rows(_ x: Tensor) -> [[Double]] {
        (0..<x.rows).map { row in (0..<x.columns).map { Double(x.row(row)[$0]) } }
    }

    private func doubles(_ x: Tensor) -> [Double] { x.values.map { Double($0) } }

    /// Runs an operation with 1, 2 and 3 threads: the same bits; returns the values.
    private func onAllThreads(_ operation: (Compute) -> Tensor) -> [Float] {
        let one = operation(Compute(threads: 1))
        for threads in 2...3 {
            #expect(operation(Compute(threads: threads)).hasBits(of: one))
        }
        return one.values
    }

    @Test(arguments: sizes)
    func layerNorm(count: Int, columns: Int) {
        let x = Tensor.gapped(count, columns, seed: 1)
        let (scale, shift) = (
            Tensor.gapped(1, columns, seed: 2), Tensor.gapped(1, columns, seed: 3)
        )
        let normal = rows(x).map { row -> [Double] in
            let mean = row.reduce(0, +) / Double(columns)
            let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
            return row.map { ($0 - mean) / (variance + 1e-6).squareRoot() }
        }
        for offset in [0.0, 1] {
            let out = onAllThreads { compute in
                let out = Tensor.unwritten(count, columns)
                if offset == 0 {
                    compute.layerNorm(out, x, weight: scale, bias: shift, eps: 1e-6)
                } else {
                    compute.modulatedLayerNorm(out, x, scale: scale, shift: shift, eps: 1e-6)
                }
                return out
            }
            let expected = normal.flatMap { row in
                zip(row, zip(doubles(scale), doubles(shift))).map {
                    $0 * (offset + $1.0) + $1.1
                }
            }
            #expect(error(out, expected) < 1e-5)
        }
    }

    @Test(arguments: sizes)
    func rmsNorm(count: Int, columns: Int) {
        let x = Tensor.gapped(count, columns, seed: 1)
        let weight = Tensor.gapped(1, columns, seed: 2)
        let out = onAllThreads { compute in
            let out = Tensor.unwritten(count, columns)
            compute.rmsNorm(out, x, weight: weight, eps: 1e-5)
            return out
        }
        let expected = rows(x).flatMap { row -> [Double] in
            let mean = row.reduce(0) { $0 + $1 * $1 } / Double(columns)
            return zip(row, doubles(weight)).map { $0 / (mean + 1e-5).squareRoot() * $1 }
        }
        #expect(error(out, expected) < 1e-5)
    }

    @Test(arguments: [(1, 1, 2), (33, 3, 6), (70, 2, 34)])
    func headNormRope(tokens: Int, heads: Int, width: Int) {
        let pairs = width / 2
        let weight = Tensor.gapped(1, width, seed: 2)
        let angles = patternless(tokens * pairs, seed: 3).map { Double($0) }
        let rope = RotaryTable(
            cosine: Tensor(rows: tokens, columns: pairs, values: angles.map { Float(cos($0)) }),
            sine: Tensor(rows: tokens, columns: pairs, values: angles.map { Float(sin($0)) })
        )
        // a projection that copies its input: keys, values, queries
        let inner = heads * width
        let input = Tensor.gapped(tokens, 3 * inner, seed: 1)
        let identity = Tensor(rows: 3 * inner, columns: 3 * inner)
        for index in 0..<3 * inner { identity.row(index)[index] = 1 }
        let ones = Tensor(rows: 1, columns: width)
        ones.fill(1)
        let kvq = onAllThreads { compute in
            let kvq = Tensor.unwritten(tokens, 3 * inner)
            compute.withScratch {
                compute.projectHeads(
                    kvq,
                    compute.operand(input, .float32),
                    Linear(weight: identity, bias: nil),
                    keyNorm: weight,
                    queryNorm: ones,
                    rope: rope,
                    eps: 1e-6
                )
            }
            return kvq
        }
        let result = Tensor(rows: tokens, columns: 3 * inner, values: kvq)
        let out = result.columns(0..<inner).values
        let values = result.columns(inner..<2 * inner).values
        #expect(values == input.columns(inner..<2 * inner).values)
        let x = rows(input.columns(0..<inner))
        var expected: [Double] = []
        for token in 0..<tokens {
            for head in 0..<heads {
                let values = Array(x[token][head * width..<(head + 1) * width])
                let mean = values.reduce(0) { $0 + $1 * $1 } / Double(width)
                let normal = zip(values, doubles(weight)).map {
                    $0 / (mean + 1e-6).squareRoot() * $1
                }
                for pair in 0..<pairs {
                    let angle = angles[token * pairs + pair]
                    let (a, b) = (normal[2 * pair], normal[2 * pair + 1])
                    expected += [a * cos(angle) - b * sin(angle), b * cos(angle) + a * sin(angle)]
                }
            }
        }
        #expect(error(out, expected) < 1e-5)
    }

    @Test(arguments: sizes)
    func sumsAndProducts(count: Int, columns: Int) {
        let y = Tensor.gapped(count, columns, seed: 2)
        let gate = Tensor.gapped(1, columns, seed: 3)
        let start = doubles(Tensor.gapped(count, columns, seed: 1))
        func result(_ operation: (Compute, Tensor) -> Void) -> [Float] {
            onAllThreads { compute in
                let x = Tensor.gapped(count, columns, seed: 1)
                operation(compute, x)
                return x
            }
        }
        let others = doubles(y)
        let gates = doubles(gate)
        #expect(
            error(result { $0.add($1, y) }, zip(start, others).map { $0 + $1 }) < 1e-6
        )
        #expect(
            error(
                result { $0.add($1, y, gate: gate) },
                start.indices.map { start[$0] + others[$0] * gates[$0 % columns] }
            ) < 1e-6
        )
        #expect(
            error(
                result { $0.add($1, gate) },
                start.indices.map { start[$0] + gates[$0 % columns] }
            ) < 1e-6
        )
        #expect(
            error(
                result { $0.add($1, y, scale: -0.375) },
                zip(start, others).map { $0 - 0.375 * $1 }
            ) < 1e-6
        )
        #expect(
            error(result { $0.multiplyElements($1, by: y) }, zip(start, others).map { $0 * $1 })
                < 1e-6
        )
    }

    @Test("parts differ by one row at most and cover everything", arguments: 0...70)
    func parts(length: Int) {
        for size in [1, 2, 7, 32, 100] {
            let parts = Parts(length, atMost: size)
            let ranges = (0..<parts.count).map { parts[$0] }
            #expect(ranges.flatMap { Array($0) } == Array(0..<length))
            #expect(ranges.allSatisfy { !$0.isEmpty && $0.count <= size })
            let counts = ranges.map(\.count)
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
        }
    }

    @Test("every part runs once, on a worker that no other part has at that time")
    func parallel() {
        let compute = Compute(threads: 3)
        let counts = Tensor(rows: 1, columns: 100)
        let busy = Tensor(rows: 1, columns: 3)
        compute.parallel(100) { part, worker in
            busy.base[worker] += 1
            counts.base[part] += busy.base[worker]
            busy.base[worker] -= 1
        }
        #expect(counts.values == [Float](repeating: 1, count: 100))
        #expect(busy.values == [0, 0, 0])
    }
}
