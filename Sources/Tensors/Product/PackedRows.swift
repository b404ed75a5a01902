import CKernels

/// A weight (outputs, inputs) in panels of rows: the left side of a convolution's products, whose
/// right side are pixels.
package struct PackedRows: Sendable {
    package let outputs: Int
    package let inputs: Int
    private let precision: Precision
    private let panels: Memory

    /// Packs a weight; `precision` is float32 or bfloat16.
    package init(_ weight: Tensor, precision: Precision) {
        outputs = weight.rows
        inputs = weight.columns
        self.precision = precision
        let count = Panel.count(weight.rows, of: Panel.rows)
        let length = precision.words(weight.columns) * Panel.rows
        panels = Memory(count: count * length)
        for panel in 0..<count {
            let first = panel * Panel.rows
            kernel_pack_rows(
                panels.base + panel * length,
                weight.row(first),
                min(Panel.rows, weight.rows - first),
                weight.columns,
                weight.stride,
                precision.format
            )
        }
    }

    /// Values of room that the right side of a product needs.
    var room: Int { precision.words(inputs) * Panel.columns }

    /// out = weight·x, plus out where `accumulate`, on the calling thread.
    ///
    /// - Parameters:
    ///   - out: (outputs, pixels), in memory that reaches to whole panels of rows and columns.
    ///   - x: (inputs, pixels)
    ///   - room: `room` values.
    ///   - accumulate: Whether the product is added.
    ///   - level: The instructions to use.
    func multiply(
        _ out: Tensor,
        _ x: Tensor,
        room: UnsafeMutablePointer<Float>,
        accumulate: Bool,
        _ level: kernel_level
    ) {
        precondition(
            x.rows == inputs && out.columns == x.columns && out.rows == outputs,
            "the sizes of a product agree"
        )
        let words = precision.words(inputs)
        for first in stride(from: 0, to: x.columns, by: Panel.columns) {
            kernel_pack_columns_transposed(
                room,
                x.base + first,
                inputs,
                min(Panel.columns, x.columns - first),
                x.stride,
                words,
                precision.format
            )
            kernel_product_float(
                out.base + first,
                out.stride,
                panels.base,
                room,
                Panel.count(outputs, of: Panel.rows),
                words,
                precision.format,
                accumulate ? 1 : 0,
                level
            )
        }
    }
}
