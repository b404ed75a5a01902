package import Tensors

/// The blocks of a FLUX transformer, double then single: all of a step's arithmetic but the
/// embedders and the final layer.
package struct FluxBlockStack: Sendable {
    private let transformerBlocks: [DoubleStreamBlock]
    private let singleTransformerBlocks: [SingleStreamBlock]

    /// Reads the blocks' parameters.
    ///
    /// - Parameters:
    ///   - configuration: The sizes.
    ///   - reader: Where the parameters come from, under their diffusers names.
    ///   - progress: Called after each block with the share of blocks read, 0…1.
    /// - Throws: What the source throws.
    package init(
        _ configuration: FluxConfiguration,
        from reader: LayerReader,
        progress: (Double) -> Void = { _ in }
    ) throws {
        let c = configuration
        let blocks = Double(c.numLayers + c.numSingleLayers)
        transformerBlocks = try (0..<c.numLayers).map { index in
            defer { progress(Double(index + 1) / blocks) }
            return try DoubleStreamBlock("transformer_blocks.\(index)", c, from: reader)
        }
        singleTransformerBlocks = try (0..<c.numSingleLayers).map { index in
            defer { progress(Double(c.numLayers + index + 1) / blocks) }
            return try SingleStreamBlock("single_transformer_blocks.\(index)", c, from: reader)
        }
    }

    /// Updates x in place.
    ///
    /// - Parameters:
    ///   - x: The tokens, text first: (tokens, hidden).
    ///   - textRows: The rows of text tokens, from 0 on.
    ///   - vec: The modulating vector after SiLU: (1, hidden).
    ///   - rope: The angles of the tokens.
    ///   - compute: Where to run.
    ///   - trace: Receives the stream after each block, or nil.
    package func callAsFunction(
        _ x: Tensor,
        text textRows: Range<Int>,
        vec: Tensor,
        rope: RotaryTable,
        in compute: Compute,
        trace: Trace? = nil
    ) {
        for (index, block) in transformerBlocks.enumerated() {
            block(x, text: textRows, vec: vec, rope: rope, in: compute)
            trace?("after_double\(index)_txt", x.rows(textRows))
            trace?("after_double\(index)_img", x.rows(textRows.upperBound..<x.rows))
        }
        for (index, block) in singleTransformerBlocks.enumerated() {
            block(x, vec: vec, rope: rope, in: compute)
            trace?("after_single\(index)", x)
        }
    }
}
