import CKernels

/// A finished tile of a product, in a thread's own memory.
struct ProductTile {
    let base: UnsafeMutablePointer<Float>
    let stride: Int
    /// The rows of the product that it holds.
    let rows: Range<Int>
    /// The columns of the product that it holds.
    let columns: Range<Int>

    /// Adds the bias and applies an activation, in place.
    func finish(bias: Tensor?, _ activation: Activation) {
        guard bias != nil || activation != .identity else { return }
        kernel_bias_activation_f32(
            base,
            bias.map { $0.base + columns.lowerBound },
            rows.count,
            columns.count,
            stride,
            activation.kernel
        )
    }

    /// Copies it to its place in the whole result.
    func copy(to out: Tensor) {
        for row in 0..<rows.count {
            (out.row(rows.lowerBound + row) + columns.lowerBound)
                .update(from: base + row * stride, count: columns.count)
        }
    }

    /// Rounds it to bfloat16, to its place in the whole result; `stride` is in values.
    func narrow(to out: UnsafeMutablePointer<UInt16>, stride: Int) {
        for row in 0..<rows.count {
            kernel_narrow_bf16(
                out + (rows.lowerBound + row) * stride + columns.lowerBound,
                base + row * self.stride,
                columns.count
            )
        }
    }

    /// Writes it to its place in an operand that is not of bytes.
    func pack(into operand: Operand) {
        let first = rows.lowerBound / Panel.rows
        for panel in 0..<Panel.count(rows.count, of: Panel.rows) {
            operand.pack(
                first + panel,
                columns: columns,
                base + panel * Panel.rows * stride,
                stride: stride
            )
        }
    }
}

/// One of the products that are summed into one result.
struct ProductTerm: Sendable {
    let operand: Operand
    let weight: PackedMatrix
    /// The panel of the result that the weight's first one adds to.
    let firstPanel: Int

    init(_ operand: Operand, _ weight: PackedMatrix, firstPanel: Int = 0) {
        self.operand = operand
        self.weight = weight
        self.firstPanel = firstPanel
        precondition(
            operand.columns == weight.inputs && operand.precision == weight.precision.operand,
            "(\(operand.rows), \(operand.columns)) in \(operand.precision) times"
                + " (\(weight.outputs), \(weight.inputs)) in \(weight.precision) transposed"
        )
    }

    /// The weight's panel for a panel of the result, or nil where it has none.
    func panel(_ index: Int) -> Int? {
        let panel = index - firstPanel
        return panel >= 0 && panel * Panel.columns < weight.outputs ? panel : nil
    }
}

extension Compute {
    /// Panels of rows of a tile: its part of the activations and its sums stay in the cache.
    private static let tileRows = 32
    /// Columns of a tile, about.
    private static let tileColumns = 256

    /// The sum of operand · weightᵀ over the terms, tile by tile.
    ///
    /// - Parameters:
    ///   - terms: The products, all of the same rows; the first has all outputs.
    ///   - panels: The panels of rows to compute; nil for all.
    ///   - unit: Columns that are not cut apart, such as a head's.
    ///   - finish: Gets each finished tile, on the thread that computed it.
    func product(
        _ terms: [ProductTerm],
        panels: Range<Int>? = nil,
        unit: Int = 1,
        finish: @Sendable (_ tile: ProductTile) -> Void
    ) {
        let rows = terms[0].operand.rows
        let outputs = terms[0].weight.outputs
        precondition(
            terms.allSatisfy {
                $0.operand.rows == rows
                    && $0.firstPanel * Panel.columns + $0.weight.outputs <= outputs
            },
            "the terms of a sum have its sizes"
        )
        let level = kernels.level
        let step = Compute.columnStep(unit: unit)
        let wanted = panels ?? 0..<terms[0].operand.panelCount
        let rowParts = Parts(wanted.count, atMost: Compute.tileRows)
        let columnParts = Panel.count(outputs, of: step)
        withScratch {
            let tallest = Panel.rows * min(Compute.tileRows, wanted.count)
            let tiles = scratch(threads * tallest, step)
            let sums = scratch(threads * tallest, Panel.columns)
            let room =
                terms.contains { $0.weight.precision == .int4 }
                ? scratch(threads, Panel.runWords * Panel.columns) : nil
            parallel(rowParts.count * columnParts) { part, worker in
                let own = rowParts[part % rowParts.count]
                let panels =
                    wanted.lowerBound + own.lowerBound..<wanted.lowerBound + own.upperBound
                let first = part / rowParts.count * step
                let columns = first..<min(outputs, first + step)
                let tile = ProductTile(
                    base: tiles.row(worker * tallest),
                    stride: step,
                    rows: panels.lowerBound
                        * Panel.rows..<min(rows, panels.upperBound * Panel.rows),
                    columns: columns
                )
                for (index, term) in terms.enumerated() {
                    tile.compute(
                        term,
                        panels,
                        sums: sums.row(worker * tallest),
                        room: room?.row(worker),
                        accumulate: index > 0,
                        level
                    )
                }
                finish(tile)
            }
        }
    }

    /// A tile's columns: a whole number of panels and of units.
    private static func columnStep(unit: Int) -> Int {
        var (a, b) = (unit, Panel.columns)
        while b > 0 { (a, b) = (b, a % b) }
        let common = unit / a * Panel.columns
        return common * max(1, tileColumns / common)
    }
}

extension ProductTile {
    /// Computes one term's part of the tile.
    ///
    /// - Parameters:
    ///   - term: The product.
    ///   - panels: The tile's panels of rows.
    ///   - sums: Room for a panel of the tile's columns.
    ///   - room: Room for a run of a panel of the weight, where it is of less than bytes.
    ///   - accumulate: Whether it is added to what is there.
    ///   - level: The instructions to use.
    fileprivate func compute(
        _ term: ProductTerm,
        _ panels: Range<Int>,
        sums: UnsafeMutablePointer<Float>,
        room: UnsafeMutablePointer<Float>?,
        accumulate: Bool,
        _ level: kernel_level
    ) {
        let (operand, weight) = (term.operand, term.weight)
        let first = columns.lowerBound / Panel.columns
        for index in 0..<Panel.count(columns.count, of: Panel.columns) {
            guard let panel = term.panel(first + index) else { continue }
            let out = base + index * Panel.columns
            if let rows = operand.scales(panels.lowerBound),
                let outputs = weight.scales(panel)
            {
                kernel_product_bytes(
                    out,
                    stride,
                    UnsafeMutableRawPointer(sums).assumingMemoryBound(to: Int32.self),
                    operand.panel(panels.lowerBound),
                    weight.panel(panel),
                    weight.precision == .int4 ? room : nil,
                    panels.count,
                    operand.words,
                    kernel_scales(
                        row_scale: rows.factors,
                        row_zero: rows.zeros,
                        column_scale: outputs.factors,
                        column_sum: outputs.sums
                    ),
                    accumulate ? 1 : 0,
                    level
                )
            } else {
                kernel_product_float(
                    out,
                    stride,
                    operand.panel(panels.lowerBound),
                    weight.panel(panel),
                    panels.count,
                    operand.words,
                    operand.precision.format,
                    accumulate ? 1 : 0,
                    level
                )
            }
        }
    }
}
