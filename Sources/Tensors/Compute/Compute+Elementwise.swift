import CKernels

extension Compute {
    /// Runs `body` over ranges of rows, on all threads.
    func parallelRows(_ rows: Int, _ body: @Sendable (Range<Int>) -> Void) {
        let parts = Parts(rows, atMost: Compute.rowsPart)
        parallel(parts.count) { part, _ in body(parts[part]) }
    }

    /// out = LN(x) ⊙ (1 + scale) + shift, without learned parameters; scale, shift (1, columns).
    package func modulatedLayerNorm(
        _ out: Tensor,
        _ x: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: Float
    ) {
        layerNorm(out, x, scale: scale, shift: shift, offset: 1, eps: eps)
    }

    /// out = LN(x) ⊙ weight + bias; weight, bias (1, columns).
    package func layerNorm(
        _ out: Tensor,
        _ x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: Float
    ) {
        layerNorm(out, x, scale: weight, shift: bias, offset: 0, eps: eps)
    }

    private func layerNorm(
        _ out: Tensor,
        _ x: Tensor,
        scale: Tensor,
        shift: Tensor,
        offset: Float,
        eps: Float
    ) {
        precondition(
            out.rows == x.rows && out.columns == x.columns && scale.columns == x.columns
                && shift.columns == x.columns,
            "the sizes of a normalisation agree"
        )
        parallelRows(x.rows) { rows in
            kernel_layer_norm_f32(
                out.row(rows.lowerBound),
                x.row(rows.lowerBound),
                scale.base,
                shift.base,
                rows.count,
                x.columns,
                out.stride,
                x.stride,
                offset,
                eps
            )
        }
    }

    /// out = x / rms(x) ⊙ weight; weight (1, columns).
    package func rmsNorm(_ out: Tensor, _ x: Tensor, weight: Tensor, eps: Float) {
        precondition(
            out.rows == x.rows && out.columns == x.columns && weight.columns == x.columns,
            "the sizes of a normalisation agree"
        )
        parallelRows(x.rows) { rows in
            kernel_rms_norm_f32(
                out.row(rows.lowerBound),
                x.row(rows.lowerBound),
                weight.base,
                rows.count,
                x.columns,
                out.stride,
                x.stride,
                eps
            )
        }
    }

    /// Applies an activation to every value: x = activation(x).
    package func activate(_ x: Tensor, _ activation: Activation) {
        parallelRows(x.rows) { rows in
            kernel_bias_activation_f32(
                x.row(rows.lowerBound),
                nil,
                rows.count,
                x.columns,
                x.stride,
                activation.kernel
            )
        }
    }

    /// x += gate ⊙ y; gate is (1, columns), or nil for 1; y has as many rows as x, or one for all.
    package func add(_ x: Tensor, _ y: Tensor, gate: Tensor? = nil) {
        precondition(
            x.columns == y.columns && (y.rows == x.rows || y.rows == 1)
                && (gate?.columns ?? x.columns) == x.columns,
            "the sizes of a sum agree"
        )
        let stride = y.rows == 1 ? 0 : y.stride
        parallelRows(x.rows) { rows in
            kernel_add_gated_f32(
                x.row(rows.lowerBound),
                y.base + rows.lowerBound * stride,
                gate?.base,
                rows.count,
                x.columns,
                x.stride,
                stride
            )
        }
    }

    /// Multiplies element by element: x = x ⊙ y.
    package func multiplyElements(_ x: Tensor, by y: Tensor) {
        precondition(x.rows == y.rows && x.columns == y.columns, "the sizes of a product agree")
        parallelRows(x.rows) { rows in
            kernel_multiply_f32(
                x.row(rows.lowerBound),
                y.row(rows.lowerBound),
                rows.count,
                x.columns,
                x.stride,
                y.stride
            )
        }
    }

    /// Adds a multiple: x += scale · y.
    package func add(_ x: Tensor, _ y: Tensor, scale: Float) {
        withScratch {
            let gate = scratch(1, x.columns)
            gate.fill(scale)
            add(x, y, gate: gate)
        }
    }

    /// How far y is from x, as mean |x − y| / mean |x|; not a number where both are 0.
    package func meanDifference(_ y: Tensor, from x: Tensor) -> Float {
        precondition(x.rows == y.rows && x.columns == y.columns, "the sizes of a comparison agree")
        // a sum for each row, so that the order of addition does not depend on the threads
        return withScratch {
            let sums = scratch(x.rows, 2)
            parallelRows(x.rows) { rows in
                for row in rows {
                    let (one, other) = (x.row(row), y.row(row))
                    var difference: Float = 0
                    var size: Float = 0
                    for column in 0..<x.columns {
                        difference += abs(one[column] - other[column])
                        size += abs(one[column])
                    }
                    sums.row(row)[0] = difference
                    sums.row(row)[1] = size
                }
            }
            var (difference, size) = (0.0, 0.0)
            for row in 0..<x.rows {
                difference += Double(sums.row(row)[0])
                size += Double(sums.row(row)[1])
            }
            return Float(difference / size)
        }
    }
}
