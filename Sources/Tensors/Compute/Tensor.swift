/// A float32 matrix, or a view of a part of one: `rows` × `columns`, `stride` values from row to
/// row.
///
/// Everything the networks compute on is a matrix: tokens × features in the transformers,
/// channels × pixels in the autoencoder. A view shares memory with what it is a view of; a tensor
/// from `Compute.scratch` is valid until the scope it was made in ends.
package struct Tensor: Sendable {
    package let rows: Int
    package let columns: Int
    /// Distance between the starts of two rows, in values.
    package let stride: Int
    private let memory: Memory
    private let offset: Int

    /// Makes a zeroed matrix with memory of its own.
    package init(rows: Int, columns: Int) {
        self.init(
            memory: Memory(count: rows * columns),
            offset: 0,
            rows: rows,
            columns: columns,
            stride: columns
        )
    }

    /// Makes a matrix with memory of its own and these values, row-major.
    package init(rows: Int, columns: Int, values: [Float]) {
        precondition(values.count == rows * columns, "the values must fill the matrix")
        self.init(rows: rows, columns: columns)
        for (index, value) in values.enumerated() {
            base[index] = value
        }
    }

    init(memory: Memory, offset: Int, rows: Int, columns: Int, stride: Int) {
        precondition(rows >= 0 && columns >= 0 && stride >= columns, "a matrix has valid sizes")
        precondition(
            rows == 0 || offset + (rows - 1) * stride + columns <= memory.count,
            "a matrix lies inside its memory"
        )
        self.memory = memory
        self.offset = offset
        self.rows = rows
        self.columns = columns
        self.stride = stride
    }

    /// The first value.
    package var base: UnsafeMutablePointer<Float> { memory.base + offset }

    /// Whether the rows follow each other without a gap.
    package var isContiguous: Bool { stride == columns || rows <= 1 }

    /// All values of a contiguous matrix.
    package var elements: UnsafeMutableBufferPointer<Float> {
        precondition(isContiguous, "only a contiguous matrix is one run of values")
        return UnsafeMutableBufferPointer(start: base, count: rows * columns)
    }

    /// A copy of the values, row-major.
    package var values: [Float] {
        [Float](unsafeUninitializedCapacity: rows * columns) { buffer, count in
            for row in 0..<rows {
                for column in 0..<columns {
                    buffer[row * columns + column] = base[row * stride + column]
                }
            }
            count = rows * columns
        }
    }

    /// The first value of a row.
    package func row(_ index: Int) -> UnsafeMutablePointer<Float> {
        base + index * stride
    }

    /// The memory as values of two bytes, two in place of each of the matrix's.
    var halves: UnsafeMutablePointer<UInt16> {
        UnsafeMutableRawPointer(base).assumingMemoryBound(to: UInt16.self)
    }

    /// A view of some rows.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows are in range")
        return Tensor(
            memory: memory,
            offset: offset + range.lowerBound * stride,
            rows: range.count,
            columns: columns,
            stride: stride
        )
    }

    /// A view of some columns.
    package func columns(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns are in range")
        return Tensor(
            memory: memory,
            offset: offset + range.lowerBound,
            rows: rows,
            columns: range.count,
            stride: stride
        )
    }

    /// Copies all values of another matrix of the same sizes into this one.
    package func copy(from other: Tensor) {
        precondition(other.rows == rows && other.columns == columns, "both have the same sizes")
        for index in 0..<rows {
            row(index).update(from: other.row(index), count: columns)
        }
    }

    /// A matrix of the same values in memory of its own.
    package func copy() -> Tensor {
        let copy = Tensor(rows: rows, columns: columns)
        copy.copy(from: self)
        return copy
    }

    /// Sets every value.
    package func fill(_ value: Float) {
        for index in 0..<rows {
            row(index).update(repeating: value, count: columns)
        }
    }
}
