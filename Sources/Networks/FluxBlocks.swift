// Names after black-forest-labs/flux src/flux/modules/layers.py; parameters under the names of
// diffusers' models/transformers/transformer_flux.py.

import Tensors

/// One stream's parameters in a double block.
private struct Stream: Sendable {
    let modulation: Linear
    let attention: QKV
    let projection: Linear
    let mlpIn: Linear
    let mlpOut: Linear
}

/// Fused projections to keys, values and queries, and the norms of queries and keys.
///
/// The order is keys, values, queries: the attention's output may then take the queries' place,
/// beside what a single block concatenates to it.
private struct QKV: Sendable {
    let linear: Linear
    let normQ: Tensor
    let normK: Tensor

    init(
        q: String,
        k: String,
        v: String,
        normQ: String,
        normK: String,
        _ c: FluxConfiguration,
        from source: any ParameterSource
    ) throws {
        linear = try Linear(
            fusing: [(k, c.hidden), (v, c.hidden), (q, c.hidden)],
            inputs: c.hidden,
            from: source
        )
        self.normQ = try source.vector("\(normQ).weight", count: c.attentionHeadDim)
        self.normK = try source.vector("\(normK).weight", count: c.attentionHeadDim)
    }

    /// Projects h (tokens, hidden) into kvq (tokens, 3 · hidden); norms and rotates q and k.
    func callAsFunction(
        _ kvq: Tensor,
        _ h: Tensor,
        rope: RotaryTable,
        heads: Int,
        in compute: Compute
    ) {
        let hidden = h.columns
        compute.linear(kvq, h, linear)
        for (part, weight) in [(0, normK), (2, normQ)] {
            compute.headNormRope(
                kvq.columns(part * hidden..<(part + 1) * hidden),
                weight: weight,
                rope: rope,
                heads: heads,
                eps: FluxTransformer.eps
            )
        }
    }
}

/// Attention over kvq (tokens, 3 · hidden); the result replaces the queries.
private func attend(_ kvq: Tensor, hidden: Int, heads: Int, in compute: Compute) -> Tensor {
    let q = kvq.columns(2 * hidden..<3 * hidden)
    compute.attention(
        q,
        q: q,
        k: kvq.columns(0..<hidden),
        v: kvq.columns(hidden..<2 * hidden),
        heads: heads,
        scale: 1 / Float(hidden / heads).squareRoot()
    )
    return q
}

/// A block with weights of their own for text and picture, which meet in the attention.
struct DoubleStreamBlock: Sendable {
    private let image: Stream
    private let text: Stream
    private let heads: Int

    init(_ name: String, _ c: FluxConfiguration, from source: any ParameterSource) throws {
        func linear(_ part: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
            try Linear("\(name).\(part)", inputs: inputs, outputs: outputs, from: source)
        }
        let attn = "\(name).attn"
        image = Stream(
            modulation: try linear("norm1.linear", c.hidden, 6 * c.hidden),
            attention: try QKV(
                q: "\(attn).to_q",
                k: "\(attn).to_k",
                v: "\(attn).to_v",
                normQ: "\(attn).norm_q",
                normK: "\(attn).norm_k",
                c,
                from: source
            ),
            projection: try linear("attn.to_out.0", c.hidden, c.hidden),
            mlpIn: try linear("ff.net.0.proj", c.hidden, c.mlp),
            mlpOut: try linear("ff.net.2", c.mlp, c.hidden)
        )
        text = Stream(
            modulation: try linear("norm1_context.linear", c.hidden, 6 * c.hidden),
            attention: try QKV(
                q: "\(attn).add_q_proj",
                k: "\(attn).add_k_proj",
                v: "\(attn).add_v_proj",
                normQ: "\(attn).norm_added_q",
                normK: "\(attn).norm_added_k",
                c,
                from: source
            ),
            projection: try linear("attn.to_add_out", c.hidden, c.hidden),
            mlpIn: try linear("ff_context.net.0.proj", c.hidden, c.mlp),
            mlpOut: try linear("ff_context.net.2", c.mlp, c.hidden)
        )
        heads = c.numAttentionHeads
    }

    /// Updates x (tokens, hidden) in place; vec is (1, hidden), after SiLU.
    func callAsFunction(
        _ x: Tensor,
        text textRows: Range<Int>,
        vec: Tensor,
        rope: RotaryTable,
        in compute: Compute
    ) {
        let hidden = x.columns
        let imageRows = textRows.upperBound..<x.rows
        compute.withScratch {
            let modulation = compute.scratch(2, 6 * hidden)
            let h = compute.scratch(x.rows, hidden)
            let streams = [
                (text, textRows, modulation.rows(0..<1)),
                (image, imageRows, modulation.rows(1..<2)),
            ]
            func chunk(_ modulation: Tensor, _ index: Int) -> Tensor {
                modulation.columns(index * hidden..<(index + 1) * hidden)
            }

            // attention, text and picture together
            compute.withScratch {
                let kvq = compute.scratch(x.rows, 3 * hidden)
                for (stream, rows, mod) in streams {
                    compute.linear(mod, vec, stream.modulation)
                    compute.modulatedLayerNorm(
                        h.rows(rows),
                        x.rows(rows),
                        scale: chunk(mod, 1),
                        shift: chunk(mod, 0),
                        eps: FluxTransformer.eps
                    )
                    stream.attention(
                        kvq.rows(rows),
                        h.rows(rows),
                        rope: rope.rows(rows),
                        heads: heads,
                        in: compute
                    )
                }
                let attention = attend(kvq, hidden: hidden, heads: heads, in: compute)
                for (stream, rows, mod) in streams {
                    compute.addLinear(
                        x.rows(rows),
                        gate: chunk(mod, 2),
                        attention.rows(rows),
                        stream.projection
                    )
                }
            }

            // feed-forward, each stream by itself
            for (stream, rows, mod) in streams {
                compute.withScratch {
                    compute.modulatedLayerNorm(
                        h.rows(rows),
                        x.rows(rows),
                        scale: chunk(mod, 4),
                        shift: chunk(mod, 3),
                        eps: FluxTransformer.eps
                    )
                    let m = compute.scratch(rows.count, stream.mlpIn.outputs)
                    compute.linear(m, h.rows(rows), stream.mlpIn, activation: .geluTanh)
                    compute.addLinear(x.rows(rows), gate: chunk(mod, 5), m, stream.mlpOut)
                }
            }
        }
    }
}

/// A block with one set of weights, its attention and feed-forward side by side.
struct SingleStreamBlock: Sendable {
    private let modulation: Linear
    private let attention: QKV
    private let projMLP: Linear
    private let projOut: Linear
    private let heads: Int

    init(_ name: String, _ c: FluxConfiguration, from source: any ParameterSource) throws {
        func linear(_ part: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
            try Linear("\(name).\(part)", inputs: inputs, outputs: outputs, from: source)
        }
        modulation = try linear("norm.linear", c.hidden, 3 * c.hidden)
        attention = try QKV(
            q: "\(name).attn.to_q",
            k: "\(name).attn.to_k",
            v: "\(name).attn.to_v",
            normQ: "\(name).attn.norm_q",
            normK: "\(name).attn.norm_k",
            c,
            from: source
        )
        projMLP = try linear("proj_mlp", c.hidden, c.mlp)
        projOut = try linear("proj_out", c.hidden + c.mlp, c.hidden)
        heads = c.numAttentionHeads
    }

    /// Updates x (tokens, hidden) in place; vec is (1, hidden), after SiLU.
    func callAsFunction(_ x: Tensor, vec: Tensor, rope: RotaryTable, in compute: Compute) {
        let hidden = x.columns
        compute.withScratch {
            let mod = compute.scratch(1, 3 * hidden)
            compute.linear(mod, vec, modulation)
            // keys | values | queries, then attention | mlp: the last two are projOut's input
            let kvqm = compute.scratch(x.rows, 3 * hidden + projMLP.outputs)
            let kvq = kvqm.columns(0..<3 * hidden)
            compute.withScratch {
                let h = compute.scratch(x.rows, hidden)
                compute.modulatedLayerNorm(
                    h,
                    x,
                    scale: mod.columns(hidden..<2 * hidden),
                    shift: mod.columns(0..<hidden),
                    eps: FluxTransformer.eps
                )
                attention(kvq, h, rope: rope, heads: heads, in: compute)
                compute.linear(
                    kvqm.columns(3 * hidden..<kvqm.columns),
                    h,
                    projMLP,
                    activation: .geluTanh
                )
            }
            _ = attend(kvq, hidden: hidden, heads: heads, in: compute)
            compute.addLinear(
                x,
                gate: mod.columns(2 * hidden..<3 * hidden),
                kvqm.columns(2 * hidden..<kvqm.columns),
                projOut
            )
        }
    }
}
