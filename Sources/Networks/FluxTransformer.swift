// Names after black-forest-labs/flux src/flux/model.py; parameters under the names of diffusers'
// models/transformers/transformer_flux.py.

package import Tensors

/// The FLUX diffusion transformer, as a function of its weights.
///
/// Text and picture tokens share one sequence, text first. The stream of the double blocks is a
/// range of its rows, so that the single blocks find both in place.
package struct FluxTransformer: Sendable {
    package let configuration: FluxConfiguration
    /// What the ranks of a group share.
    package let trunk: FluxTrunk
    private let contextEmbedder: Linear
    private let timeTextEmbed: TimeTextEmbedding
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
        contextEmbedder = try linear("context_embedder", c.jointAttentionDim, c.hidden)
        timeTextEmbed = try TimeTextEmbedding(c, from: reader.floating)
        trunk = try FluxTrunk(c, from: reader, progress: progress)
        normOut = try linear("norm_out.linear", c.hidden, 2 * c.hidden)
        projOut = try linear("proj_out", c.hidden, c.inChannels)
    }

    /// Bytes of its parameters: those of a group's leader.
    package var parameterBytes: ParameterBytes {
        [contextEmbedder, normOut, projOut].map(\.parameterBytes).sum
            + timeTextEmbed.parameterBytes + trunk.parameterBytes
    }

    /// What stays the same over the steps of one picture, computed once.
    package struct Context: Sendable {
        /// The embedded pooled vector: (1, hidden).
        let pooled: Tensor
        let trunk: FluxTrunk.Context

        /// The rotary angles of text, output and reference tokens.
        package var rope: RotaryTable { trunk.rope }
    }

    /// A picture's tokens but for its latents, the text embedded.
    ///
    /// - Parameters:
    ///   - text: T5's features: (text tokens, joint attention width).
    ///   - references: The references in sequence order.
    ///   - outputEmbedding: Added to every output token: (1, hidden), or nil.
    ///   - positions: Row and column of each output and reference token; text stands at 0.
    ///   - compute: Where to run.
    /// - Returns: What every rank of a group makes its context of.
    package func conditions(
        text: Tensor,
        references: [FluxTrunk.Reference],
        outputEmbedding: Tensor?,
        positions: [TokenPosition],
        in compute: Compute
    ) -> FluxTrunk.Conditions {
        let embedded = Tensor(rows: text.rows, columns: configuration.hidden)
        compute.linear(embedded, text, contextEmbedder)
        return FluxTrunk.Conditions(
            text: embedded,
            references: references,
            outputEmbedding: outputEmbedding,
            positions: positions
        )
    }

    /// Embeds what does not change from step to step.
    ///
    /// - Parameters:
    ///   - conditions: The picture's tokens but for its latents.
    ///   - pooled: CLIP's vector: (1, pooled projection width).
    ///   - compute: Where to run.
    /// - Returns: The embedded conditions, for every step of the picture.
    package func context(
        _ conditions: FluxTrunk.Conditions,
        pooled: Tensor,
        in compute: Compute
    ) -> Context {
        Context(
            pooled: timeTextEmbed.embed(pooled: pooled, in: compute),
            trunk: trunk.context(conditions, in: compute)
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

    /// Computes the modulating vectors of some steps.
    ///
    /// - Parameters:
    ///   - steps: Each step's noise level, 1 for pure noise to 0, and its distilled guidance; models
    ///     without its embedding ignore it.
    ///   - context: The embedded conditions.
    ///   - compute: Where to run.
    /// - Returns: A vector a step: (steps, hidden).
    package func temb(
        _ steps: [(timestep: Float, guidance: Float)],
        context: Context,
        in compute: Compute
    ) -> Tensor {
        let temb = Tensor(rows: steps.count, columns: configuration.hidden)
        for (row, step) in steps.enumerated() {
            timeTextEmbed(
                temb.rows(row..<row + 1),
                timestep: step.timestep,
                guidance: step.guidance,
                pooled: context.pooled,
                in: compute
            )
        }
        return temb
    }

    /// Computes what modulates the layers in some steps at once.
    ///
    /// - Parameters:
    ///   - temb: What `temb(_:context:in:)` made.
    ///   - compute: Where to run.
    /// - Returns: The vectors; a step's do not depend on the others.
    package func modulation(_ temb: Tensor, in compute: Compute) -> Modulation {
        let vec = FluxTrunk.vec(temb, in: compute)
        let final = Tensor(rows: temb.rows, columns: normOut.outputs)
        compute.linear(final, vec, normOut)
        return Modulation(
            temb: temb,
            blocks: trunk.modulation(vec, in: compute),
            final: final
        )
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
        compute.withScratch {
            trace?("temb", modulation.temb.rows(step..<step + 1))
            let x = compute.scratch(trunk.tokens(latents, context.trunk), hidden)
            trunk(
                x,
                latents: latents,
                modulation: modulation.blocks,
                step: step,
                context: context.trunk,
                in: compute,
                cache: cache,
                trace: trace
            )
            let first = context.trunk.text.rows
            let final = modulation.final.rows(step..<step + 1)
            let output = x.rows(first..<first + latents.rows)
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
