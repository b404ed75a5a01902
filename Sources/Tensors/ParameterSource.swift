/// Where a network's weights come from, by name.
///
/// Names are those of the diffusers layout, whatever layout the files have: a source for another
/// layout maps them, a source with adapters adds their low-rank products. Implementations convert
/// to float32, check that every value is finite, and give the file's pages back to the system
/// once a tensor was read.
package protocol ParameterSource: Sendable {
    /// The shape of the tensor with that name, or nil when the source has none.
    func shape(of name: String) -> [Int]?

    /// Reads one tensor as float32, row-major.
    ///
    /// - Parameters:
    ///   - name: The tensor's name in the diffusers layout, such as
    ///     `transformer_blocks.0.attn.to_q.weight`.
    ///   - shape: The shape that the model's configuration asks for.
    ///   - destination: As many values as `shape` has.
    /// - Throws: An error that names file, tensor and remedy when the tensor is missing, has
    ///   another shape, or holds a value that is not finite.
    func read(
        _ name: String,
        shape: [Int],
        into destination: UnsafeMutableBufferPointer<Float>
    ) throws

    /// Reads some rows and columns of a matrix, and no more of the file than they need.
    ///
    /// - Parameters:
    ///   - name: The matrix's name.
    ///   - shape: The shape of the whole, that the model's configuration asks for.
    ///   - rows: The rows that are wanted.
    ///   - columns: The columns that are wanted.
    ///   - destination: A matrix of their sizes.
    /// - Throws: As `read(_:shape:into:)`.
    func read(
        _ name: String,
        shape: [Int],
        rows: Range<Int>,
        columns: Range<Int>,
        into destination: Tensor
    ) throws

    /// The weight of a layer as it was packed before, or nil where it has to be read and packed.
    ///
    /// - Parameters:
    ///   - modules: The names of the layers that make one, and their counts of outputs.
    ///   - inputs: The width of the common input, cut into what comes as operands of their own.
    ///   - precision: What products with it are computed in.
    ///   - isAllWanted: Whether all of it is used: else it is not brought in from the disk.
    /// - Returns: A weight a part of the inputs.
    /// - Throws: An error that names the layer when it was packed in another way.
    func packed(
        _ modules: [(name: String, outputs: Int)],
        inputs: [Int],
        _ precision: Precision,
        isAllWanted: Bool
    ) throws -> [PackedMatrix]?
}

extension ParameterSource {
    package func read(
        _ name: String,
        shape: [Int],
        rows: Range<Int>,
        columns: Range<Int>,
        into destination: Tensor
    ) throws {
        let whole = Tensor(rows: shape[0], columns: shape[1])
        try read(name, shape: shape, into: whole.elements)
        destination.copy(from: whole.rows(rows).columns(columns))
    }

    package func packed(
        _ modules: [(name: String, outputs: Int)],
        inputs: [Int],
        _ precision: Precision,
        isAllWanted: Bool
    ) throws -> [PackedMatrix]? {
        nil
    }
}
