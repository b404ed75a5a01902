import CKernels
import COpenBLAS

extension Compute {
    /// The largest part of a product is 640 × 1024 outputs.
    ///
    /// Large enough that packing costs little beside the arithmetic, small enough that every
    /// thread gets several.
    private static let rowTile = 640
    private static let columnTile = 1024
    /// Up to this many rows, a dot product an output is faster than a packed matrix product.
    private static let fewRows = 4
    private static let fewRowsTile = 256
    /// Rows a part of an operation that walks over rows.
    static let rowsPart = 32

    /// out = activation(x·Wᵀ + b); x is (rows, inputs), out (rows, outputs).
    package func linear(
        _ out: Tensor,
        _ x: Tensor,
        _ layer: Linear,
        activation: Activation = .identity
    ) {
        let bias = layer.bias
        let kernel = activation.kernel
        product(out, x, layer.weight) { tile, columns in
            kernel_bias_activation_f32(
                tile.base,
                bias.map { $0.base + columns.lowerBound },
                tile.rows,
                tile.columns,
                tile.stride,
                kernel
            )
        }
    }

    /// residual += gate ⊙ (x·Wᵀ + b); residual is (rows, outputs), gate (1, outputs) or nil for 1.
    package func addLinear(_ residual: Tensor, gate: Tensor?, _ x: Tensor, _ layer: Linear) {
        precondition(residual.rows == x.rows && residual.columns == layer.outputs, "sizes agree")
        let bias = layer.bias
        withScratch {
            let out = scratch(x.rows, layer.outputs)
            product(out, x, layer.weight) { tile, columns in
                if let bias {
                    kernel_bias_activation_f32(
                        tile.base,
                        bias.base + columns.lowerBound,
                        tile.rows,
                        tile.columns,
                        tile.stride,
                        KERNEL_IDENTITY
                    )
                }
                let row = (tile.base - out.base) / out.stride
                kernel_add_gated_f32(
                    residual.row(row) + columns.lowerBound,
                    tile.base,
                    gate.map { $0.base + columns.lowerBound },
                    tile.rows,
                    tile.columns,
                    residual.stride,
                    tile.stride
                )
            }
        }
    }

    /// out = x·Wᵀ; x is (rows, inputs), weight (outputs, inputs), out (rows, outputs).
    package func product(_ out: Tensor, _ x: Tensor, _ weight: Tensor) {
        product(out, x, weight) { _, _ in }
    }

    /// The product, tile by tile; `finish` gets each finished tile and its range of columns.
    private func product(
        _ out: Tensor,
        _ x: Tensor,
        _ weight: Tensor,
        finish: @Sendable (_ tile: Tensor, _ columns: Range<Int>) -> Void
    ) {
        precondition(
            x.columns == weight.columns && out.rows == x.rows && out.columns == weight.rows,
            "(\(x.rows), \(x.columns)) times (\(weight.rows), \(weight.columns)) transposed"
                + " does not fit (\(out.rows), \(out.columns))"
        )
        let few = x.rows <= Compute.fewRows
        let rowParts = Parts(x.rows, atMost: Compute.rowTile)
        let columnParts = Parts(
            weight.rows,
            atMost: few ? Compute.fewRowsTile : Compute.columnTile
        )
        parallel(rowParts.count * columnParts.count) { part, _ in
            let rows = rowParts[part / columnParts.count]
            let columns = columnParts[part % columnParts.count]
            let tile = out.rows(rows).columns(columns)
            let w = weight.rows(columns)
            if few {
                kernel_few_rows_product_f32(
                    tile.base,
                    x.base,
                    w.base,
                    x.rows,
                    columns.count,
                    x.columns,
                    out.stride,
                    x.stride,
                    weight.stride
                )
            } else {
                multiply(tile, x.rows(rows), w, transposed: true)
            }
            finish(tile, columns)
        }
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
