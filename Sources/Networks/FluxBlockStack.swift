package import Tensors

/// The blocks of a FLUX transformer, double then single: all of a step's arithmetic but the
/// embedders and the final layer.
package struct FluxBlockStack: Sendable {
    private let transformerBlocks: [DoubleStreamBlock]
    private let singleTransformerBlocks: [SingleStreamBlock]
    private let hidden: Int
    private let shard: Shard

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
        hidden = c.hidden
        shard = reader.shard
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

    /// Bytes of this rank's parameters.
    package var parameterBytes: ParameterBytes {
        transformerBlocks.map(\.parameterBytes).sum
            + singleTransformerBlocks.map(\.parameterBytes).sum
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
        guard let reduction = compute.reduction, !shard.isWhole else {
            return Modulation(
                vectors: modulations.map { layers in
                    layers.map { layer in
                        let vectors = Tensor(rows: vec.rows, columns: layer.outputs)
                        compute.linear(vectors, vec, layer)
                        return vectors
                    }
                }
            )
        }
        return gathered(vec, reduction, in: compute)
    }

    /// Of each block, what makes its streams' modulating vectors.
    private var modulations: [[Linear]] {
        transformerBlocks.map(\.modulations) + singleTransformerBlocks.map(\.modulations)
    }

    /// The vectors of all ranks: each computes its columns of them, side by side, and copies those to
    /// the others at one time.
    private func gathered(
        _ vec: Tensor,
        _ reduction: any Reduction,
        in compute: Compute
    ) -> Modulation {
        let blocks = modulations
        let widths =
            [Int](repeating: 6 * hidden, count: transformerBlocks.count)
            + [Int](repeating: 3 * hidden, count: singleTransformerBlocks.count)
        /// Each rank's columns of a layer's vector.
        func columns(_ width: Int) -> [Range<Int>] {
            shard.ranges(of: width, unit: shard.unit(of: width))
        }
        var parts: [Range<Int>] = []
        for rank in 0..<shard.size {
            let first = parts.last?.upperBound ?? 0
            let own = zip(blocks, widths).reduce(0) { sum, block in
                sum + block.0.count * columns(block.1)[rank].count
            }
            parts.append(first..<first + own)
        }
        let all = Tensor(rows: vec.rows, columns: parts.last?.upperBound ?? 0)
        var next = parts[shard.rank].lowerBound
        for layer in blocks.joined() {
            compute.linear(all.columns(next..<next + layer.outputs), vec, layer)
            next += layer.outputs
        }
        reduction.gather(all, columns: parts)
        var places = parts.map(\.lowerBound)
        return Modulation(
            vectors: zip(blocks, widths).map { layers, width in
                layers.map { _ in
                    let vectors = Tensor(rows: vec.rows, columns: width)
                    for (rank, own) in columns(width).enumerated() {
                        let range = places[rank]..<places[rank] + own.count
                        vectors.columns(own).copy(from: all.columns(range))
                        places[rank] += own.count
                    }
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
            // what follows the loss of a rank has no meaning
            for index in blocks where compute.reduction?.failure == nil {
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
