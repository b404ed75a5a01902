import CKernels

/// Activations (rows, columns) in panels of rows, as products read them; scratch memory.
package struct Operand: Sendable {
    package let rows: Int
    package let columns: Int
    package let precision: Precision
    /// A panel a row.
    private let panels: Tensor
    /// Of bytes: a scale a row, then a zero a row.
    private let scales: Tensor?

    fileprivate init(rows: Int, columns: Int, precision: Precision, in compute: Compute) {
        self.rows = rows
        self.columns = columns
        let precision = precision.operand
        self.precision = precision
        let count = Panel.count(rows, of: Panel.rows)
        panels = compute.scratch(count, precision.words(columns) * Panel.rows)
        scales = precision == .int8 ? compute.scratch(2, count * Panel.rows) : nil
    }

    var panelCount: Int { panels.rows }

    /// Words of a row.
    var words: Int { precision.words(columns) }

    /// The first word of a panel, or one further on.
    func panel(_ index: Int, word: Int = 0) -> UnsafeMutablePointer<Float> {
        panels.row(index) + word * Panel.rows
    }

    /// The scales of a panel's rows and their zeros, or nil.
    func scales(
        _ panel: Int
    ) -> (factors: UnsafeMutablePointer<Float>, zeros: UnsafeMutablePointer<Int32>)? {
        guard let scales else { return nil }
        let first = panel * Panel.rows
        let zeros = UnsafeMutableRawPointer(scales.row(1) + first)
        return (scales.row(0) + first, zeros.assumingMemoryBound(to: Int32.self))
    }

    /// The rows of a panel.
    func rows(_ panel: Int) -> Range<Int> {
        panel * Panel.rows..<min(rows, (panel + 1) * Panel.rows)
    }

    /// Writes a panel from rows of values; `x` is the first of them.
    func pack(_ panel: Int, _ x: UnsafePointer<Float>, stride: Int) {
        let count = rows(panel).count
        if let scales = scales(panel) {
            kernel_quantize_rows(
                self.panel(panel),
                scales.factors,
                scales.zeros,
                x,
                count,
                columns,
                stride
            )
        } else {
            kernel_pack_rows(self.panel(panel), x, count, columns, stride, precision.format)
        }
    }

    /// Writes some columns of a panel, from a whole word on; not of bytes, whose scale takes the
    /// whole row.
    func pack(_ panel: Int, columns range: Range<Int>, _ x: UnsafePointer<Float>, stride: Int) {
        kernel_pack_rows(
            self.panel(panel, word: range.lowerBound / precision.valuesPerWord),
            x,
            rows(panel).count,
            range.count,
            stride,
            precision.format
        )
    }

    /// Writes a panel from rows of bfloat16; `x` is the first of them.
    func quantize(_ panel: Int, _ x: UnsafePointer<UInt16>, stride: Int) {
        guard let scales = scales(panel) else { return }
        kernel_quantize_bf16_rows(
            self.panel(panel),
            scales.factors,
            scales.zeros,
            x,
            rows(panel).count,
            columns,
            stride
        )
    }
}

extension Compute {
    /// An operand with undefined values, valid until the enclosing `withScratch` ends.
    func emptyOperand(rows: Int, columns: Int, _ precision: Precision) -> Operand {
        Operand(rows: rows, columns: columns, precision: precision, in: self)
    }

    /// x (rows, columns) as an operand, valid until the enclosing `withScratch` ends.
    package func operand(_ x: Tensor, _ precision: Precision) -> Operand {
        let operand = emptyOperand(rows: x.rows, columns: x.columns, precision)
        parallelPanels(operand) { panel, _ in
            operand.pack(panel, x.row(operand.rows(panel).lowerBound), stride: x.stride)
        }
        return operand
    }

    /// LN(x) ⊙ (1 + scale) + shift as an operand, as `modulatedLayerNorm` computes it.
    package func modulatedLayerNorm(
        _ x: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: Float,
        _ precision: Precision
    ) -> Operand {
        precondition(
            scale.columns == x.columns && shift.columns == x.columns,
            "a scale and a shift a column"
        )
        let operand = emptyOperand(rows: x.rows, columns: x.columns, precision)
        withScratch {
            let normalised = scratch(threads * Panel.rows, x.columns)
            parallelPanels(operand) { panel, worker in
                let rows = operand.rows(panel)
                let own = normalised.row(worker * Panel.rows)
                kernel_layer_norm_f32(
                    own,
                    x.row(rows.lowerBound),
                    scale.base,
                    shift.base,
                    rows.count,
                    x.columns,
                    normalised.stride,
                    x.stride,
                    1,
                    eps
                )
                operand.pack(panel, own, stride: normalised.stride)
            }
        }
        return operand
    }

    /// Runs `body` for each panel, on all threads; the second number is the worker's.
    func parallelPanels(_ operand: Operand, _ body: @Sendable (Int, Int) -> Void) {
        let parts = Parts(operand.panelCount, atMost: 4)
        parallel(parts.count) { part, worker in
            for panel in parts[part] {
                body(panel, worker)
            }
        }
    }
}
