// Names after black-forest-labs/flux src/flux/model.py; parameters under the names of diffusers'
// models/transformers/transformer_flux.py.

package import Tensors

/// The FLUX diffusion transformer, as a function of its weights.
///
/// Text and picture tokens share one sequence, text first. The stream of the double blocks is a
/// range of its rows, so that the single blocks find both in place.
package struct FluxTransformer: Sendable {
    package let configuration: FluxConfiguration
    private let xEmbedder: Linear
    private let contextEmbedder: Linear
    private let timeTextEmbed: TimeTextEmbedding
    private let blocks: FluxBlockStack
    private let normOut: Linear
    private let projOut: Linear

    /// Reads all parameters.
    ///
    /// - Parameters:
    ///   - configuration: The sizes.
    ///   - reader: Where the parameters come from, under their diffusers names. In int8 the
    ///     embedders and the final layer are in bfloat16.
    ///   - progress: Called after each block with the share of blocks read, 0…1.
    /// - Throws: What the source throws.
    package init(
        _ configuration: FluxConfiguration,
        from reader: LayerReader,
        progress: (Double) -> Void = { _ in }
    ) throws {
        let c = configuration
        self.configuration = c
        func linear(_ name: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
            try reader.floating.linear(name, inputs: inputs, outputs: outputs)
        }
        xEmbedder = try linear("x_embedder", c.inChannels, c.hidden)
        contextEmbedder = try linear("context_embedder", c.jointAttentionDim, c.hidden)
        timeTextEmbed = try TimeTextEmbedding(c, from: reader.floating)
        blocks = try FluxBlockStack(c, from: reader, progress: progress)
        normOut = try linear("norm_out.linear", c.hidden, 2 * c.hidden)
        projOut = try linear("proj_out", c.hidden, c.inChannels)
    }

    /// What stays the same over the steps of one picture, computed once.
    package struct Context: Sendable {
        /// The embedded text: (text tokens, hidden).
        let text: Tensor
        /// The embedded pooled vector: (1, hidden).
        let pooled: Tensor
        /// Added to every embedded output token: (1, hidden), or nil.
        let outputEmbedding: Tensor?
        /// The embedded reference tokens: (reference tokens, hidden), or nil.
        let references: Tensor?
        /// The rotary angles of text, output and reference tokens.
        package let rope: RotaryTable
    }

    /// A reference in the token sequence.
    package struct Reference {
        /// The packed latent: (tokens, in channels).
        package let tokens: Tensor
        /// Added to each of its embedded tokens: (1, hidden), or nil.
        package let embedding: Tensor?

        package init(tokens: Tensor, embedding: Tensor?) {
            self.tokens = tokens
            self.embedding = embedding
        }
    }

    /// Embeds what does not change from step to step.
    ///
    /// - Parameters:
    ///   - text: T5's features: (text tokens, joint attention width).
    ///   - pooled: CLIP's vector: (1, pooled projection width).
    ///   - references: The references in sequence order.
    ///   - outputEmbedding: Added to every output token: (1, hidden), or nil.
    ///   - positions: Row and column of each output and reference token; text stands at 0.
    ///   - compute: Where to run.
    /// - Returns: The embedded conditions, for every step of the picture.
    package func context(
        text: Tensor,
        pooled: Tensor,
        references: [Reference],
        outputEmbedding: Tensor?,
        positions: [TokenPosition],
        in compute: Compute
    ) -> Context {
        let hidden = configuration.hidden
        let embeddedText = Tensor(rows: text.rows, columns: hidden)
        compute.linear(embeddedText, text, contextEmbedder)
        let count = references.reduce(0) { $0 + $1.tokens.rows }
        let embedded = count == 0 ? nil : Tensor(rows: count, columns: hidden)
        if let embedded {
            var row = 0
            for reference in references {
                let part = embedded.rows(row..<row + reference.tokens.rows)
                compute.linear(part, reference.tokens, xEmbedder)
                if let embedding = reference.embedding {
                    compute.add(part, embedding)
                }
                row += reference.tokens.rows
            }
        }
        return Context(
            text: embeddedText,
            pooled: timeTextEmbed.embed(pooled: pooled, in: compute),
            outputEmbedding: outputEmbedding,
            references: embedded,
            rope: RotaryTable(
                positions: [TokenPosition](repeating: .text, count: text.rows) + positions,
                axes: configuration.axesDimsRope
            )
        )
    }

    /// The vectors that modulate the layers in some steps of one picture.
    package struct Modulation: Sendable {
        /// The modulating vectors themselves: (steps, hidden).
        let temb: Tensor
        let blocks: FluxBlockStack.Modulation
        /// The final layer's scale and shift: (steps, 2 · hidden).
        let final: Tensor
    }

    /// Computes the vectors of some steps at once.
    ///
    /// - Parameters:
    ///   - steps: Each step's noise level, 1 for pure noise to 0, and its distilled guidance; models
    ///     without its embedding ignore it.
    ///   - context: The embedded conditions.
    ///   - compute: Where to run.
    /// - Returns: The vectors; a step's do not depend on the others.
    package func modulation(
        _ steps: [(timestep: Float, guidance: Float)],
        context: Context,
        in compute: Compute
    ) -> Modulation {
        let temb = Tensor(rows: steps.count, columns: configuration.hidden)
        for (row, step) in steps.enumerated() {
            timeTextEmbed(
                temb.rows(row..<row + 1),
                timestep: step.timestep,
                guidance: step.guidance,
                context,
                in: compute
            )
        }
        let vec = temb.copy()
        compute.activate(vec, .silu)
        let final = Tensor(rows: steps.count, columns: normOut.outputs)
        compute.linear(final, vec, normOut)
        return Modulation(temb: temb, blocks: blocks.modulation(vec, in: compute), final: final)
    }

    /// Predicts the velocity, noise − data, of the output tokens.
    ///
    /// - Parameters:
    ///   - prediction: The result: (output tokens, in channels).
    ///   - latents: The noisy tokens: (output tokens, in channels).
    ///   - modulation: The vectors that modulate the layers.
    ///   - step: Which of their steps this is, from 0 on.
    ///   - context: The embedded conditions.
    ///   - compute: Where to run.
    ///   - cache: What earlier steps of this branch left to be used again, or nil.
    ///   - trace: Receives the intermediates, or nil.
    package func callAsFunction(
        _ prediction: Tensor,
        latents: Tensor,
        modulation: Modulation,
        step: Int,
        context: Context,
        in compute: Compute,
        cache: StepCache? = nil,
        trace: Trace? = nil
    ) {
        let hidden = configuration.hidden
        let textRows = 0..<context.text.rows
        let outputRows = textRows.upperBound..<textRows.upperBound + latents.rows
        let total = outputRows.upperBound + (context.references?.rows ?? 0)
        compute.withScratch {
            trace?("temb", modulation.temb.rows(step..<step + 1))
            let x = compute.scratch(total, hidden)
            x.rows(textRows).copy(from: context.text)
            compute.linear(x.rows(outputRows), latents, xEmbedder)
            if let embedding = context.outputEmbedding {
                compute.add(x.rows(outputRows), embedding)
            }
            if let references = context.references {
                x.rows(outputRows.upperBound..<total).copy(from: references)
            }

            blocks(
                x,
                text: textRows,
                modulation: modulation.blocks,
                step: step,
                rope: context.rope,
                in: compute,
                cache: cache,
                trace: trace
            )

            let final = modulation.final.rows(step..<step + 1)
            let output = x.rows(outputRows)
            let normalised = compute.scratch(output.rows, hidden)
            compute.modulatedLayerNorm(
                normalised,
                output,
                scale: final.columns(0..<hidden),
                shift: final.columns(hidden..<2 * hidden),
                eps: FluxTransformer.eps
            )
            compute.linear(prediction, normalised, projOut)
        }
    }

    /// What every normalisation of the transformer adds to the variance.
    static let eps: Float = 1e-6
}
