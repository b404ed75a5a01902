import CKernels
import COpenBLAS

extension Compute {
    /// Rows a part of an operation that walks over rows.
    static let rowsPart = 32

    /// out = activation(x·Wᵀ + b); x is (rows, inputs), out (rows, outputs).
    package func linear(
        _ out: Tensor,
        _ x: Tensor,
        _ layer: Linear,
        activation: Activation = .identity
    ) {
        withScratch {
            linear(out, [operand(x, layer.precision)], layer, activation: activation)
        }
    }

    /// out = activation(x·Wᵀ + b); x is (rows, inputs), an operand a part of the inputs.
    package func linear(
        _ out: Tensor,
        _ x: [Operand],
        _ layer: Linear,
        activation: Activation = .identity
    ) {
        precondition(
            out.rows == x[0].rows && out.columns == layer.outputs,
            "(\(x[0].rows), \(layer.outputs)) does not fit (\(out.rows), \(out.columns))"
        )
        let bias = layer.bias
        product(x, layer) { tile in
            tile.finish(bias: bias, activation)
            tile.copy(to: out)
        }
    }

    /// activation(x·Wᵀ + b) as an operand in the same precision, valid until the enclosing
    /// `withScratch` ends.
    package func activated(_ x: Operand, _ layer: Linear, _ activation: Activation) -> Operand {
        let bias = layer.bias
        let precision = layer.precision
        let out = emptyOperand(rows: x.rows, columns: layer.outputs, precision)
        guard precision == .int8 else {
            product([x], layer) { tile in
                tile.finish(bias: bias, activation)
                tile.pack(into: out)
            }
            return out
        }
        withScratch {
            // A scale takes the whole row: values first, as bfloat16, two in a tensor's value.
            let values = scratch(x.rows, (layer.outputs + 1) / 2)
            let stride = 2 * values.stride
            product([x], layer) { tile in
                tile.finish(bias: bias, activation)
                tile.narrow(to: values.halves, stride: stride)
            }
            parallelPanels(out) { panel, _ in
                let row = out.rows(panel).lowerBound
                out.quantize(panel, values.halves + row * stride, stride: stride)
            }
        }
        return out
    }

    /// residual += gate ⊙ (x·Wᵀ + b); residual is (rows, outputs), gate (1, outputs) or nil for 1.
    package func addLinear(_ residual: Tensor, gate: Tensor?, _ x: Tensor, _ layer: Linear) {
        withScratch {
            addLinear(residual, gate: gate, [operand(x, layer.precision)], layer)
        }
    }

    /// residual += gate ⊙ (x·Wᵀ + b); x an operand a part of the inputs.
    package func addLinear(_ residual: Tensor, gate: Tensor?, _ x: [Operand], _ layer: Linear) {
        precondition(
            residual.rows == x[0].rows && residual.columns == layer.outputs,
            "sizes agree"
        )
        guard !layer.isPartial else {
            return withScratch {
                let addition = addition(to: residual, gate: gate, of: layer)
                begin(addition, x)
                finish(addition)
            }
        }
        let bias = layer.bias
        product(x, layer) { tile in
            tile.finish(bias: bias, .identity)
            kernel_add_gated_f32(
                residual.row(tile.rows.lowerBound) + tile.columns.lowerBound,
                tile.base,
                gate.map { $0.base + tile.columns.lowerBound },
                tile.rows.count,
                tile.columns.count,
                residual.stride,
                tile.stride
            )
        }
    }

    /// out = x·Wᵀ; x is (rows, inputs), weight (outputs, inputs), out (rows, outputs).
    package func product(_ out: Tensor, _ x: Tensor, _ weight: PackedMatrix) {
        precondition(out.rows == x.rows && out.columns == weight.outputs, "sizes agree")
        withScratch {
            product([ProductTerm(operand(x, weight.precision.operand), weight)]) {
                $0.copy(to: out)
            }
        }
    }

    /// x·Wᵀ and the products of the layer's branches, tile by tile, without the bias.
    func product(
        _ x: [Operand],
        _ layer: Linear,
        unit: Int = 1,
        finish: @Sendable (_ tile: ProductTile) -> Void
    ) {
        withScratch {
            product(terms(x, layer), unit: unit, finish: finish)
        }
    }

    /// The products whose sum a layer is, without its bias; those of its branches are computed as far
    /// as their ranks, in scratch memory.
    func terms(_ x: [Operand], _ layer: Linear) -> [ProductTerm] {
        precondition(x.count == layer.weights.count, "an operand a part of the inputs")
        probe?.note(x, layer, in: self)
        var terms = zip(x, layer.weights).map { ProductTerm($0, $1) }
        for branch in layer.branches?.branches ?? [] {
            let inner = scratch(x[0].rows, branch.down[0].outputs)
            product(zip(x, branch.down).map { ProductTerm($0, $1) }) { $0.copy(to: inner) }
            terms.append(
                ProductTerm(
                    operand(inner, branch.up.precision),
                    branch.up,
                    firstPanel: branch.firstPanel
                )
            )
        }
        return terms
    }
}

/// out = scale·a·b, or scale·a·bᵀ when `transposed`, plus `keep`·out, on the calling thread.
package func multiply(
    _ out: Tensor,
    _ a: Tensor,
    _ b: Tensor,
    transposed: Bool,
    scale: Float = 1,
    keep: Float = 0
) {
    precondition(
        out.rows == a.rows && out.columns == (transposed ? b.rows : b.columns)
            && a.columns == (transposed ? b.columns : b.rows),
        "the sizes of a product agree"
    )
    cblas_sgemm(
        CblasRowMajor,
        CblasNoTrans,
        transposed ? CblasTrans : CblasNoTrans,
        blasint(out.rows),
        blasint(out.columns),
        blasint(a.columns),
        scale,
        a.base,
        blasint(a.stride),
        b.base,
        blasint(b.stride),
        keep,
        out.base,
        blasint(out.stride)
    )
}

/// A range cut into parts of nearly one size, by its length alone.
package struct Parts: Sendable {
    package let length: Int
    package let count: Int

    package init(_ length: Int, atMost size: Int) {
        self.length = length
        count = (length + size - 1) / size
    }

    package subscript(index: Int) -> Range<Int> {
        (length * index / count)..<(length * (index + 1) / count)
    }
}

extension Activation {
    var kernel: kernel_activation {
        switch self {
        case .identity: KERNEL_IDENTITY
        case .geluTanh: KERNEL_GELU_TANH
        case .silu: KERNEL_SILU
        case .quickGELU: KERNEL_QUICK_GELU
        }
    }
}
