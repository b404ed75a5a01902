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
        from reader: LayerReader
    ) throws {
        linear = try reader.linear(
            fusing: [(k, c.hidden), (v, c.hidden), (q, c.hidden)],
            inputs: [c.hidden]
        )
        self.normQ = try reader.source.vector("\(normQ).weight", count: c.attentionHeadDim)
        self.normK = try reader.source.vector("\(normK).weight", count: c.attentionHeadDim)
    }

    /// Projects h (tokens, hidden) into kvq (tokens, 3 · hidden); norms and rotates q and k.
    func callAsFunction(_ kvq: Tensor, _ h: Operand, rope: RotaryTable, in compute: Compute) {
        compute.projectHeads(
            kvq,
            h,
            linear,
            keyNorm: normK,
            queryNorm: normQ,
            rope: rope,
            eps: FluxTransformer.eps
        )
    }

    /// Attention over kvq (tokens, 3 · hidden); the result replaces the queries.
    func attend(_ kvq: Tensor, heads: Int, in compute: Compute) -> Tensor {
        let hidden = kvq.columns / 3
        let q = kvq.columns(2 * hidden..<3 * hidden)
        compute.attention(
            q,
            q: q,
            k: kvq.columns(0..<hidden),
            v: kvq.columns(hidden..<2 * hidden),
            heads: heads,
            scale: 1 / Float(hidden / heads).squareRoot(),
            linear.precision
        )
        return q
    }
}

/// A block with weights of their own for text and picture, which meet in the attention.
struct DoubleStreamBlock: Sendable {
    private let image: Stream
    private let text: Stream
    private let heads: Int

    init(_ name: String, _ c: FluxConfiguration, from reader: LayerReader) throws {
        func linear(_ part: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
            try reader.linear("\(name).\(part)", inputs: inputs, outputs: outputs)
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
                from: reader
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
                from: reader
            ),
            projection: try linear("attn.to_add_out", c.hidden, c.hidden),
            mlpIn: try linear("ff_context.net.0.proj", c.hidden, c.mlp),
            mlpOut: try linear("ff_context.net.2", c.mlp, c.hidden)
        )
        heads = c.numAttentionHeads
    }

    /// What makes the vectors that modulate the streams, of 6 · hidden values: text, then picture.
    var modulations: [Linear] { [text.modulation, image.modulation] }

    /// Updates x (tokens, hidden) in place; modulation is a vector (1, 6 · hidden) a stream.
    func callAsFunction(
        _ x: Tensor,
        text textRows: Range<Int>,
        modulation: [Tensor],
        rope: RotaryTable,
        in compute: Compute
    ) {
        let hidden = x.columns
        let imageRows = textRows.upperBound..<x.rows
        let streams = [(text, textRows), (image, imageRows)]
        compute.withScratch {
            func chunk(_ stream: Int, _ index: Int) -> Tensor {
                modulation[stream].columns(index * hidden..<(index + 1) * hidden)
            }

            // attention, text and picture together
            compute.withScratch {
                let kvq = compute.scratch(x.rows, 3 * hidden)
                for (index, (stream, rows)) in streams.enumerated() {
                    compute.withScratch {
                        let h = compute.modulatedLayerNorm(
                            x.rows(rows),
                            scale: chunk(index, 1),
                            shift: chunk(index, 0),
                            eps: FluxTransformer.eps,
                            stream.attention.linear.precision
                        )
                        stream.attention(kvq.rows(rows), h, rope: rope.rows(rows), in: compute)
                    }
                }
                let attention = image.attention.attend(kvq, heads: heads, in: compute)
                for (index, (stream, rows)) in streams.enumerated() {
                    compute.addLinear(
                        x.rows(rows),
                        gate: chunk(index, 2),
                        attention.rows(rows),
                        stream.projection
                    )
                }
            }

            // feed-forward, each stream by itself
            for (index, (stream, rows)) in streams.enumerated() {
                compute.withScratch {
                    let h = compute.modulatedLayerNorm(
                        x.rows(rows),
                        scale: chunk(index, 4),
                        shift: chunk(index, 3),
                        eps: FluxTransformer.eps,
                        stream.mlpIn.precision
                    )
                    let inner = compute.activated(h, stream.mlpIn, .geluTanh)
                    compute.addLinear(
                        x.rows(rows),
                        gate: chunk(index, 5),
                        [inner],
                        stream.mlpOut
                    )
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

    init(_ name: String, _ c: FluxConfiguration, from reader: LayerReader) throws {
        func linear(_ part: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
            try reader.linear("\(name).\(part)", inputs: inputs, outputs: outputs)
        }
        modulation = try linear("norm.linear", c.hidden, 3 * c.hidden)
        attention = try QKV(
            q: "\(name).attn.to_q",
            k: "\(name).attn.to_k",
            v: "\(name).attn.to_v",
            normQ: "\(name).attn.norm_q",
            normK: "\(name).attn.norm_k",
            c,
            from: reader
        )
        projMLP = try linear("proj_mlp", c.hidden, c.mlp)
        // attention and feed-forward come with scales of their own
        projOut = try reader.linear(
            fusing: [("\(name).proj_out", c.hidden)],
            inputs: [c.hidden, c.mlp]
        )
        heads = c.numAttentionHeads
    }

    /// What makes the vector that modulates the block, of 3 · hidden values.
    var modulations: [Linear] { [modulation] }

    /// Updates x (tokens, hidden) in place; modulation is one vector (1, 3 · hidden).
    func callAsFunction(
        _ x: Tensor,
        modulation: [Tensor],
        rope: RotaryTable,
        in compute: Compute
    ) {
        let hidden = x.columns
        let mod = modulation[0]
        compute.withScratch {
            let h = compute.modulatedLayerNorm(
                x,
                scale: mod.columns(hidden..<2 * hidden),
                shift: mod.columns(0..<hidden),
                eps: FluxTransformer.eps,
                projMLP.precision
            )
            let inner = compute.activated(h, projMLP, .geluTanh)
            let kvq = compute.scratch(x.rows, 3 * hidden)
            attention(kvq, h, rope: rope, in: compute)
            let attended = attention.attend(kvq, heads: heads, in: compute)
            compute.addLinear(
                x,
                gate: mod.columns(2 * hidden..<3 * hidden),
                [compute.operand(attended, projOut.precision), inner],
                projOut
            )
        }
    }
}
