import CKernels

/// Rows that ids stand for: in bfloat16, or in float32 where all is.
package struct EmbeddingTable: Sendable {
    package let rows: Int
    package let columns: Int
    private let isHalf: Bool
    private let memory: Memory

    /// Takes the values of a table (rows, columns).
    package init(_ table: Tensor, precision: Precision) {
        rows = table.rows
        columns = table.columns
        isHalf = precision != .float32
        let count = table.rows * table.columns
        memory = Memory(count: isHalf ? (count + 1) / 2 : count)
        if isHalf {
            kernel_narrow_bf16(memory.base, table.base, count)
        } else {
            memory.base.update(from: table.base, count: count)
        }
    }

    /// How a file stores it.
    var stored: (SafetensorsType, UnsafeRawBufferPointer) {
        let bytes = rows * columns * (isHalf ? 2 : 4)
        return (
            isHalf ? .bfloat16 : .float32,
            UnsafeRawBufferPointer(start: memory.base, count: bytes)
        )
    }

    /// Copies a row's values to where `columns` values fit.
    package func copyRow(_ index: Int, to out: UnsafeMutablePointer<Float>) {
        precondition(index >= 0 && index < rows, "id \(index) is beyond the table's \(rows) rows")
        if isHalf {
            kernel_widen_bf16(
                out,
                UnsafeRawPointer(memory.base) + 2 * index * columns,
                columns
            )
        } else {
            out.update(from: memory.base + index * columns, count: columns)
        }
    }
}
