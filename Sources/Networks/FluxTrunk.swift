package import Tensors

/// The part of the FLUX transformer that all ranks of a group compute: from a step's latents through
/// all blocks.
///
/// What stands before and behind it, the embedders of text and time and the final layer, is a
/// hundredth of the weights and the leader's alone.
package struct FluxTrunk: Sendable {
    package let configuration: FluxConfiguration
    private let xEmbedder: Linear
    private let blocks: FluxBlockStack

    /// Whether a layer is the trunk's, by its diffusers name.
    package static func has(_ module: String) -> Bool {
        module == "x_embedder" || module.hasPrefix("transformer_blocks.")
            || module.hasPrefix("single_transformer_blocks.")
    }

    /// Reads the parameters; of what is split, the reader's part.
    ///
    /// - Parameters:
    ///   - configuration: The sizes.
    ///   - reader: Where the parameters come from, under their diffusers names. In int8 the
    ///     embedder is in bfloat16.
    ///   - progress: Called after each block with the share of blocks read, 0…1.
    /// - Throws: What the source throws.
    package init(
        _ configuration: FluxConfiguration,
        from reader: LayerReader,
        progress: (Double) -> Void = { _ in }
    ) throws {
        self.configuration = configuration
        xEmbedder = try reader.floating.linear(
            "x_embedder",
            inputs: configuration.inChannels,
            outputs: configuration.hidden
        )
        blocks = try FluxBlockStack(configuration, from: reader, progress: progress)
    }

    /// Bytes of this rank's parameters.
    package var parameterBytes: ParameterBytes {
        xEmbedder.parameterBytes + blocks.parameterBytes
    }

    /// A reference in the token sequence.
    package struct Reference: Sendable {
        /// The packed latent: (tokens, in channels).
        package let tokens: Tensor
        /// Added to each of its embedded tokens: (1, hidden), or nil.
        package let embedding: Tensor?

        package init(tokens: Tensor, embedding: Tensor?) {
            self.tokens = tokens
            self.embedding = embedding
        }
    }

    /// What a picture's tokens are made of, but for its latents.
    package struct Conditions: Sendable {
        /// The embedded text: (text tokens, hidden).
        package let text: Tensor
        /// The references in sequence order.
        package let references: [Reference]
        /// Added to every embedded output token: (1, hidden), or nil.
        package let outputEmbedding: Tensor?
        /// Row and column of each output and reference token; text stands at 0.
        package let positions: [TokenPosition]

        package init(
            text: Tensor,
            references: [Reference],
            outputEmbedding: Tensor?,
            positions: [TokenPosition]
        ) {
            self.text = text
            self.references = references
            self.outputEmbedding = outputEmbedding
            self.positions = positions
        }
    }

    /// What stays the same over the steps of one picture, computed once.
    package struct Context: Sendable {
        /// The embedded text: (text tokens, hidden).
        let text: Tensor
        /// Added to every embedded output token: (1, hidden), or nil.
        let outputEmbedding: Tensor?
        /// The embedded reference tokens: (reference tokens, hidden), or nil.
        let references: Tensor?
        /// The rotary angles of text, output and reference tokens.
        package let rope: RotaryTable
    }

    /// Embeds what does not change from step to step.
    package func context(_ conditions: Conditions, in compute: Compute) -> Context {
        let count = conditions.references.reduce(0) { $0 + $1.tokens.rows }
        let embedded = count == 0 ? nil : Tensor(rows: count, columns: configuration.hidden)
        if let embedded {
            var row = 0
            for reference in conditions.references {
                let part = embedded.rows(row..<row + reference.tokens.rows)
                compute.linear(part, reference.tokens, xEmbedder)
                if let embedding = reference.embedding {
                    compute.add(part, embedding)
                }
                row += reference.tokens.rows
            }
        }
        let text = [TokenPosition](repeating: .text, count: conditions.text.rows)
        return Context(
            text: conditions.text,
            outputEmbedding: conditions.outputEmbedding,
            references: embedded,
            rope: RotaryTable(
                positions: text + conditions.positions,
                axes: configuration.axesDimsRope
            )
        )
    }

    /// What the layers make their modulating vectors of.
    ///
    /// - Parameters:
    ///   - temb: Each step's modulating vector: (steps, hidden).
    ///   - compute: Where to run.
    /// - Returns: SiLU of it: (steps, hidden).
    package static func vec(_ temb: Tensor, in compute: Compute) -> Tensor {
        let vec = temb.copy()
        compute.activate(vec, .silu)
        return vec
    }

    /// Computes the vectors that modulate the blocks in some steps.
    ///
    /// - Parameters:
    ///   - vec: What `vec(_:in:)` made: (steps, hidden).
    ///   - compute: Where to run.
    /// - Returns: The vectors; a step's do not depend on the others.
    package func modulation(_ vec: Tensor, in compute: Compute) -> FluxBlockStack.Modulation {
        blocks.modulation(vec, in: compute)
    }

    /// The tokens of a step's stream.
    ///
    /// - Parameters:
    ///   - latents: The noisy tokens: (output tokens, in channels).
    ///   - context: The embedded conditions.
    /// - Returns: How many there are.
    package func tokens(_ latents: Tensor, _ context: Context) -> Int {
        context.text.rows + latents.rows + (context.references?.rows ?? 0)
    }

    /// Makes a step's stream and runs it through all blocks.
    ///
    /// - Parameters:
    ///   - x: The result: (tokens, hidden).
    ///   - latents: The noisy tokens: (output tokens, in channels).
    ///   - modulation: The vectors that modulate the blocks.
    ///   - step: Which of their steps this is, from 0 on.
    ///   - context: The embedded conditions.
    ///   - compute: Where to run.
    ///   - cache: What earlier steps of this branch left to be used again, or nil.
    ///   - trace: Receives the intermediates, or nil.
    package func callAsFunction(
        _ x: Tensor,
        latents: Tensor,
        modulation: FluxBlockStack.Modulation,
        step: Int,
        context: Context,
        in compute: Compute,
        cache: StepCache? = nil,
        trace: Trace? = nil
    ) {
        let textRows = 0..<context.text.rows
        let outputRows = textRows.upperBound..<textRows.upperBound + latents.rows
        x.rows(textRows).copy(from: context.text)
        compute.linear(x.rows(outputRows), latents, xEmbedder)
        if let embedding = context.outputEmbedding {
            compute.add(x.rows(outputRows), embedding)
        }
        if let references = context.references {
            x.rows(outputRows.upperBound..<x.rows).copy(from: references)
        }
        blocks(
            x,
            text: textRows,
            modulation: modulation,
            step: step,
            rope: context.rope,
            in: compute,
            cache: cache,
            trace: trace
        )
    }
}
