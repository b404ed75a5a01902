import Tensors
import Testing

/// Linear layers below float32, and low-rank branches, against the reference precision.
@Suite
struct PrecisionTests {
    private let compute = Compute(threads: 2)

    /// The relative L2 error of some values.
    private func relative(_ values: [Float], _ expected: [Float]) -> Double {
        let pairs = zip(values, expected).map { (Double($0), Double($1)) }
        let error = pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return (error / pairs.reduce(1e-30) { $0 + $1.1 * $1.1 }).squareRoot()
    }

    /// The relative error that a precision allows.
    private func bound(_ precision: Precision) -> Double {
        switch precision {
        case .float32: 1e-6
        case .bfloat16: 5e-3
        case .int8: 1.5e-2
        case .int4: 0.15
        }
    }

    private func output(
        _ x: Tensor,
        _ weight: Tensor,
        _ bias: Tensor,
        _ precision: Precision,
        _ level: KernelLevel? = nil
    ) -> Tensor {
        let out = Tensor.unwritten(x.rows, weight.rows)
        let layer = Linear(weight: weight, bias: bias, precision: precision, threads: 2)
        Compute(threads: 2, kernels: level).linear(out, x, layer, activation: .geluTanh)
        return out
    }

    @Test(
        "a layer's error is what its precision allows, at every level",
        arguments: KernelLevel.available,
        [(1, 130, 70), (200, 300, 257), (7, 64, 1100)]
    )
    func layers(_ level: KernelLevel, _ sizes: (rows: Int, outputs: Int, inputs: Int)) {
        let x = Tensor.gapped(sizes.rows, sizes.inputs, seed: 1)
        let weight = Tensor.gapped(sizes.outputs, sizes.inputs, seed: 2)
        let bias = Tensor(
            rows: 1,
            columns: sizes.outputs,
            values: patternless(sizes.outputs, seed: 3)
        )
        let expected = output(x, weight, bias, .float32, .scalar).values
        for precision in Precision.allCases {
            let out = output(x, weight, bias, precision, level)
            #expect(relative(out.values, expected) < bound(precision))
        }
    }

    @Test("an activated operand gives what its values would", arguments: Precision.allCases)
    func activated(_ precision: Precision) {
        let x = Tensor.gapped(205, 96, seed: 1)
        let first = Linear(
            weight: Tensor.gapped(330, 96, seed: 2),
            bias: Tensor(rows: 1, columns: 330, values: patternless(330, seed: 3)),
            precision: precision
        )
        let second = Linear(
            weight: Tensor.gapped(40, 330, seed: 4),
            bias: nil,
            precision: precision
        )
        let (out, apart) = (Tensor(rows: 205, columns: 40), Tensor(rows: 205, columns: 40))
        let between = Tensor(rows: 205, columns: 330)
        compute.withScratch {
            let operand = compute.operand(x, precision)
            compute.linear(out, [compute.activated(operand, first, .geluTanh)], second)
        }
        compute.linear(between, x, first, activation: .geluTanh)
        compute.linear(apart, between, second)
        #expect(relative(out.values, apart.values) < (precision == .float32 ? 1e-6 : 5e-3))
    }

    @Test("inputs in parts give what they give together", arguments: Precision.allCases)
    func parts(_ precision: Precision) {
        let (a, b) = (Tensor.gapped(50, 36, seed: 1), Tensor.gapped(50, 100, seed: 2))
        let x = Tensor(rows: 50, columns: 136)
        x.columns(0..<36).copy(from: a)
        x.columns(36..<136).copy(from: b)
        let weight = Tensor.gapped(70, 136, seed: 3)
        let (out, whole) = (Tensor(rows: 50, columns: 70), Tensor(rows: 50, columns: 70))
        compute.withScratch {
            compute.linear(
                out,
                [compute.operand(a, precision), compute.operand(b, precision)],
                Linear(weight: weight, bias: nil, precision: precision, parts: [36, 100])
            )
        }
        compute.linear(whole, x, Linear(weight: weight, bias: nil))
        #expect(relative(out.values, whole.values) < bound(precision))
    }

    @Test("a branch beside a weight is what it would be in it", arguments: Precision.allCases)
    func branches(_ precision: Precision) throws {
        let sources = TensorSource(tensors: [
            "q.weight": Tensor.gapped(100, 80, seed: 1), "k.weight": Tensor.gapped(70, 80, seed: 2),
        ])
        let table = BranchTable()
        let reader = LayerReader(sources, precision: precision, branches: table)
        let layer = try reader.linear(
            fusing: [("q", 100), ("k", 70)],
            inputs: [50, 30],
            bias: false
        )
        let x = Tensor.gapped(201, 80, seed: 3)
        let (down, up) = (Tensor.gapped(3, 80, seed: 4), Tensor.gapped(20, 3, seed: 5))
        func output() -> [Float] {
            let out = Tensor(rows: 201, columns: 170)
            compute.withScratch {
                let parts = [x.columns(0..<50), x.columns(50..<80)]
                compute.linear(out, parts.map { compute.operand($0, precision) }, layer)
            }
            return out.values
        }
        let plain = output()
        #expect(table.contains("k") && !table.contains("v"))
        table.add("k", down: down, up: up, firstOutput: 9)
        let with = output()
        let added = Tensor(rows: 201, columns: 3)
        compute.product(added, x, PackedMatrix(down, precision: .float32))
        let product = Tensor(rows: 201, columns: 20)
        compute.product(product, added, PackedMatrix(up, precision: .float32))
        var expected = plain
        for row in 0..<201 {
            for column in 0..<20 {
                expected[row * 170 + 109 + column] += product.row(row)[column]
            }
        }
        #expect(with != plain && relative(with, expected) < bound(precision))
        table.removeAll()
        #expect(output() == plain)
    }
}

/// Tensors by name.
private struct TensorSource: ParameterSource {
    let tensors: [String: Tensor]

    func shape(of name: String) -> [Int]? { tensors[name].map { [$0.rows, $0.columns] } }

    func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        guard let tensor = tensors[name] else { throw Missing(name: name) }
        _ = destination.update(fromContentsOf: tensor.values)
    }

    struct Missing: Error {
        let name: String
    }
}
