package import Networks
package import Tensors

/// DreamO's learned vectors that tell reference tokens from output tokens, and one reference
/// from another.
package struct DreamOEmbeddings: Sendable, Equatable {
    /// How many references the index table tells apart: slots 1 to 9; row 0 is never used.
    package static let indexRows = 10
    /// How many placeholder tokens the T5 table gets: `[ref#1]` to `[ref#9]`, then `[res]`.
    package static let placeholderRows = 10

    /// (2, hidden): row 0 for reference tokens, row 1 for output tokens.
    package let task: [Float]
    /// (10, hidden): row i for the reference in slot i.
    package let index: [Float]
    /// (10, T5 width): the input embeddings of the placeholder tokens.
    package let placeholders: [Float]

    /// Reads the three tables of `dreamo.safetensors`.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - configuration: The transformer's, whose widths the tables must have.
    /// - Throws: `AdapterError` when a table is missing or has another shape; `SafetensorsError`
    ///   when its values cannot be read.
    package init(file: SafetensorsFile, configuration: FluxConfiguration) throws {
        let hidden = configuration.hidden
        let taskKey = "dreamo_task_embedding.weight"
        let indexKey = "dreamo_idx_embedding.weight"
        let textKey = "dreamo_t5_embedding.weight"
        try Self.check(file, taskKey, width: hidden, expected: "[2, \(hidden)]") { $0 == 2 }
        try Self.check(
            file,
            indexKey,
            width: hidden,
            expected: "[\(Self.indexRows), \(hidden)]"
        ) { $0 == Self.indexRows }
        let width = configuration.jointAttentionDim
        try Self.check(
            file,
            textKey,
            width: width,
            expected: "[\(Self.placeholderRows) or more, \(width)]"
        ) { $0 >= Self.placeholderRows }
        task = try file.values(of: taskKey)
        index = try file.values(of: indexKey)
        placeholders = try file.values(of: textKey).suffix(Self.placeholderRows * width)
    }

    private static func check(
        _ file: SafetensorsFile,
        _ key: String,
        width: Int,
        expected: String,
        rows isRowCount: (Int) -> Bool
    ) throws(AdapterError) {
        guard let shape = file.shape(of: key) else {
            throw .missingEmbedding(file: file.path, key: key)
        }
        guard shape.count == 2, isRowCount(shape[0]), shape[1] == width else {
            throw .embeddingShape(file: file.path, key: key, found: shape, expected: expected)
        }
    }
}
