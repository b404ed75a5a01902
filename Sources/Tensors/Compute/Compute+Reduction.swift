import CKernels

/// A layer's products on their way into a stream: where the layer is split, they are summed over the
/// ranks of a group in chunks of rows, beside whatever is computed meanwhile.
package final class PendingAddition {
    fileprivate struct Chunk {
        let rows: Range<Int>
        let ticket: ReductionTicket
    }

    fileprivate let residual: Tensor
    fileprivate let gate: Tensor?
    fileprivate let layer: Linear
    /// This rank's products, then the sums: (rows, outputs); nil where nothing is summed.
    fileprivate let sums: Tensor?
    fileprivate var chunks: [Chunk] = []

    fileprivate init(_ residual: Tensor, _ gate: Tensor?, _ layer: Linear, _ sums: Tensor?) {
        self.residual = residual
        self.gate = gate
        self.layer = layer
        self.sums = sums
    }
}

extension Compute {
    /// Panels of rows of a chunk: 384 rows are sent while the next ones are computed.
    private static let chunkPanels = 64

    /// Makes room for residual += gate ⊙ (x·Wᵀ + b), which `begin` begins and `finish` ends, all in
    /// one scratch scope.
    ///
    /// - Parameters:
    ///   - residual: (rows, outputs); not to be touched between beginning and end.
    ///   - gate: (1, outputs), or nil for 1.
    ///   - layer: The layer.
    /// - Returns: The addition.
    package func addition(
        to residual: Tensor,
        gate: Tensor?,
        of layer: Linear
    ) -> PendingAddition {
        precondition(
            !layer.isPartial || reduction != nil,
            "what is split is summed over the ranks"
        )
        let sums = layer.isPartial ? scratch(residual.rows, residual.columns) : nil
        return PendingAddition(residual, gate, layer, sums)
    }

    /// Computes the products; a layer that is not split is added at once.
    ///
    /// - Parameters:
    ///   - addition: What `addition` made.
    ///   - x: An operand a part of the inputs, done with when this returns.
    package func begin(_ addition: PendingAddition, _ x: [Operand]) {
        let layer = addition.layer
        guard let sums = addition.sums, let reduction else {
            return addLinear(addition.residual, gate: addition.gate, x, layer)
        }
        precondition(sums.rows == x[0].rows && sums.columns == layer.outputs, "sizes agree")
        let format: ReductionFormat = layer.precision == .float32 ? .float32 : .bfloat16
        let panels = Parts(x[0].panelCount, atMost: Self.chunkPanels)
        withScratch {
            let terms = terms(x, layer)
            for index in 0..<panels.count {
                let own = panels[index]
                product(terms, panels: own) { $0.copy(to: sums) }
                let rows =
                    own.lowerBound * Panel.rows..<min(sums.rows, own.upperBound * Panel.rows)
                let ticket = reduction.sum(sums.rows(rows), in: format)
                addition.chunks.append(PendingAddition.Chunk(rows: rows, ticket: ticket))
            }
        }
    }

    /// Ends an addition: waits for the sums, and adds them to the stream.
    package func finish(_ addition: PendingAddition) {
        guard let sums = addition.sums, let reduction else { return }
        let residual = addition.residual
        let gate = addition.gate
        let bias = addition.layer.bias
        for chunk in addition.chunks {
            reduction.wait(chunk.ticket)
            let parts = Parts(chunk.rows.count, atMost: Self.rowsPart)
            parallel(parts.count) { part, _ in
                let first = chunk.rows.lowerBound + parts[part].lowerBound
                let count = parts[part].count
                if let bias {
                    kernel_bias_activation_f32(
                        sums.row(first),
                        bias.base,
                        count,
                        sums.columns,
                        sums.stride,
                        KERNEL_IDENTITY
                    )
                }
                kernel_add_gated_f32(
                    residual.row(first),
                    sums.row(first),
                    gate?.base,
                    count,
                    sums.columns,
                    residual.stride,
                    sums.stride
                )
            }
        }
    }
}
