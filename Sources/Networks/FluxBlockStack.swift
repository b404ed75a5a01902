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

    /// The vectors that modulate the blocks in some steps.
    package struct Modulation: Sendable {
        /// Of each block, for each of its streams: (steps, the vector's values).
        fileprivate let vectors: [[Tensor]]

        /// Those of one step.
        fileprivate func vectors(_ block: Int, step: Int) -> [Tensor] {
            vectors[block].map { $0.rows(step..<step + 1) }
        }
    }

    /// Computes the vectors of some steps at once: weights that one step reads for one row each.
    ///
    /// - Parameters:
    ///   - vec: A step's modulating vector after SiLU: (steps, hidden).
    ///   - compute: Where to run.
    /// - Returns: The vectors, in memory of their own; a step's do not depend on the others.
    package func modulation(_ vec: Tensor, in compute: Compute) -> Modulation {
        let layers =
            transformerBlocks.map(\.modulations) + singleTransformerBlocks.map(\.modulations)
        return Modulation(
            vectors: layers.map { layers in
                layers.map { layer in
                    let vectors = Tensor(rows: vec.rows, columns: layer.outputs)
                    compute.linear(vectors, vec, layer)
                    return vectors
                }
            }
        )
    }

    /// Updates x in place.
    ///
    /// - Parameters:
    ///   - x: The tokens, text first: (tokens, hidden).
    ///   - textRows: The rows of text tokens, from 0 on.
    ///   - modulation: The vectors that modulate the blocks.
    ///   - step: Which of their steps this is, from 0 on.
    ///   - rope: The angles of the tokens.
    ///   - compute: Where to run.
    ///   - cache: What an earlier step left to be used again, or nil.
    ///   - trace: Receives the stream after each block that is run, or nil.
    package func callAsFunction(
        _ x: Tensor,
        text textRows: Range<Int>,
        modulation: Modulation,
        step: Int,
        rope: RotaryTable,
        in compute: Compute,
        cache: StepCache? = nil,
        trace: Trace? = nil
    ) {
        let picture = textRows.upperBound..<x.rows
        let doubles = transformerBlocks.count
        func run(_ blocks: Range<Int>) {
            for index in blocks {
                let vectors = modulation.vectors(index, step: step)
                guard index < doubles else {
                    let block = singleTransformerBlocks[index - doubles]
                    block(x, modulation: vectors, rope: rope, in: compute)
                    trace?("after_single\(index - doubles)", x)
                    continue
                }
                let block = transformerBlocks[index]
                block(x, text: textRows, modulation: vectors, rope: rope, in: compute)
                trace?("after_double\(index)_txt", x.rows(textRows))
                trace?("after_double\(index)_img", x.rows(picture))
            }
        }
        let count = doubles + singleTransformerBlocks.count
        guard let cache else { return run(0..<count) }
        cache.run(x, picture: picture, in: compute) {
            run(0..<1)
        } finish: {
            run(1..<count)
        }
    }
}
