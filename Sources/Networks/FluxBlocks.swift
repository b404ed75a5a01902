// Names after black-forest-labs/flux src/flux/modules/layers.py; parameters under the names of
// diffusers' models/transformers/transformer_flux.py.

import Tensors

/// Reads a block's layers, each split over the ranks of a group as its place in the block asks for:
/// by outputs where a part begins, by inputs where it ends in the stream.
private struct BlockLayers {
    let name: String
    let configuration: FluxConfiguration
    let reader: LayerReader

    init(_ name: String, _ configuration: FluxConfiguration, _ reader: LayerReader) {
        self.name = name
        self.configuration = configuration
        self.reader = reader
    }

    /// What the feed-forward layers' columns are split in.
    var mlpUnit: Int { reader.shard.unit(of: configuration.mlp) }

    /// What makes so many vectors that modulate the block.
    func modulation(_ part: String, vectors: Int) throws -> Linear {
        let outputs = vectors * configuration.hidden
        let unit = reader.shard.unit(of: outputs)
        return try linear(part, configuration.hidden, outputs, .outputs(unit: unit))
    }

    /// From the attention into the stream.
    func projection(_ part: String) throws -> Linear {
        let hidden = configuration.hidden
        return try linear(
            part,
            hidden,
            hidden,
            .inputs(units: [configuration.attentionHeadDim])
        )
    }

    func mlpIn(_ part: String) throws -> Linear {
        try linear(part, configuration.hidden, configuration.mlp, .outputs(unit: mlpUnit))
    }

    func mlpOut(_ part: String) throws -> Linear {
        try linear(part, configuration.mlp, configuration.hidden, .inputs(units: [mlpUnit]))
    }

    private func linear(
        _ part: String,
        _ inputs: Int,
        _ outputs: Int,
        _ split: LayerSplit
    ) throws -> Linear {
        try reader.linear("\(name).\(part)", inputs: inputs, outputs: outputs, split: split)
    }
}

/// One stream's parameters in a double block.
private struct Stream: Sendable {
    let modulation: Linear
    let attention: QKV
    let projection: Linear
    let mlpIn: Linear
    let mlpOut: Linear

    var parameterBytes: ParameterBytes {
        [modulation, projection, mlpIn, mlpOut].map(\.parameterBytes).sum
            + attention.parameterBytes
    }
}

/// Fused projections to keys, values and queries, and the norms of queries and keys.
///
/// The order is keys, values, queries: the attention's output may then take the queries' place,
/// beside what a single block concatenates to it.
private struct QKV: Sendable {
    let linear: Linear
    let normQ: Tensor
    let normK: Tensor

    /// Channels of this rank's heads.
    private var channels: Int { linear.outputs / 3 }

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
            inputs: [c.hidden],
            split: .outputs(unit: c.attentionHeadDim)
        )
        self.normQ = try reader.source.vector("\(normQ).weight", count: c.attentionHeadDim)
        self.normK = try reader.source.vector("\(normK).weight", count: c.attentionHeadDim)
    }

    var parameterBytes: ParameterBytes {
        linear.parameterBytes + normQ.parameterBytes + normK.parameterBytes
    }

    /// Room for what `callAsFunction` makes: (tokens, 3 · channels of this rank's heads).
    func room(_ tokens: Int, in compute: Compute) -> Tensor {
        compute.scratch(tokens, linear.outputs)
    }

    /// Projects h (tokens, hidden) into kvq (tokens, 3 · channels); norms and rotates q and k.
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

    /// Attention over kvq (tokens, 3 · channels); the result replaces the queries.
    func attend(_ kvq: Tensor, in compute: Compute) -> Tensor {
        let q = kvq.columns(2 * channels..<3 * channels)
        let width = normQ.columns
        compute.attention(
            q,
            q: q,
            k: kvq.columns(0..<channels),
            v: kvq.columns(channels..<2 * channels),
            heads: channels / width,
            scale: 1 / Float(width).squareRoot(),
            linear.precision
        )
        return q
    }
}

/// A block with weights of their own for text and picture, which meet in the attention.
struct DoubleStreamBlock: Sendable {
    private let image: Stream
    private let text: Stream

    init(_ name: String, _ c: FluxConfiguration, from reader: LayerReader) throws {
        let layers = BlockLayers(name, c, reader)
        let attn = "\(name).attn"
        image = Stream(
            modulation: try layers.modulation("norm1.linear", vectors: 6),
            attention: try QKV(
                q: "\(attn).to_q",
                k: "\(attn).to_k",
                v: "\(attn).to_v",
                normQ: "\(attn).norm_q",
                normK: "\(attn).norm_k",
                c,
                from: reader
            ),
            projection: try layers.projection("attn.to_out.0"),
            mlpIn: try layers.mlpIn("ff.net.0.proj"),
            mlpOut: try layers.mlpOut("ff.net.2")
        )
        text = Stream(
            modulation: try layers.modulation("norm1_context.linear", vectors: 6),
            attention: try QKV(
                q: "\(attn).add_q_proj",
                k: "\(attn).add_k_proj",
                v: "\(attn).add_v_proj",
                normQ: "\(attn).norm_added_q",
                normK: "\(attn).norm_added_k",
                c,
                from: reader
            ),
            projection: try layers.projection("attn.to_add_out"),
            mlpIn: try layers.mlpIn("ff_context.net.0.proj"),
            mlpOut: try layers.mlpOut("ff_context.net.2")
        )
    }

    /// What makes the vectors that modulate the streams, of 6 · hidden values: text, then picture.
    var modulations: [Linear] { [text.modulation, image.modulation] }

    var parameterBytes: ParameterBytes { text.parameterBytes + image.parameterBytes }

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
                let additions = streams.enumerated().map { index, stream in
                    compute.addition(
                        to: x.rows(stream.1),
                        gate: chunk(index, 2),
                        of: stream.0.projection
                    )
                }
                let kvq = image.attention.room(x.rows, in: compute)
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
                let attention = image.attention.attend(kvq, in: compute)
                for (addition, (stream, rows)) in zip(additions, streams) {
                    compute.withScratch {
                        let h = compute.operand(attention.rows(rows), stream.projection.precision)
                        compute.begin(addition, [h])
                    }
                }
                additions.forEach(compute.finish)
            }

            // feed-forward, each stream by itself
            let additions = streams.enumerated().map { index, stream in
                compute.addition(
                    to: x.rows(stream.1),
                    gate: chunk(index, 5),
                    of: stream.0.mlpOut
                )
            }
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
                    compute.begin(additions[index], [inner])
                }
            }
            additions.forEach(compute.finish)
        }
    }
}

/// A block with one set of weights, its attention and feed-forward side by side.
struct SingleStreamBlock: Sendable {
    private let modulation: Linear
    private let attention: QKV
    private let projMLP: Linear
    private let projOut: Linear

    init(_ name: String, _ c: FluxConfiguration, from reader: LayerReader) throws {
        let layers = BlockLayers(name, c, reader)
        modulation = try layers.modulation("norm.linear", vectors: 3)
        attention = try QKV(
            q: "\(name).attn.to_q",
            k: "\(name).attn.to_k",
            v: "\(name).attn.to_v",
            normQ: "\(name).attn.norm_q",
            normK: "\(name).attn.norm_k",
            c,
            from: reader
        )
        projMLP = try layers.mlpIn("proj_mlp")
        // attention and feed-forward come with scales of their own
        projOut = try reader.linear(
            fusing: [("\(name).proj_out", c.hidden)],
            inputs: [c.hidden, c.mlp],
            split: .inputs(units: [c.attentionHeadDim, layers.mlpUnit])
        )
    }

    /// What makes the vector that modulates the block, of 3 · hidden values.
    var modulations: [Linear] { [modulation] }

    var parameterBytes: ParameterBytes {
        [modulation, projMLP, projOut].map(\.parameterBytes).sum + attention.parameterBytes
    }

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
            let addition = compute.addition(
                to: x,
                gate: mod.columns(2 * hidden..<3 * hidden),
                of: projOut
            )
            let h = compute.modulatedLayerNorm(
                x,
                scale: mod.columns(hidden..<2 * hidden),
                shift: mod.columns(0..<hidden),
                eps: FluxTransformer.eps,
                projMLP.precision
            )
            let inner = compute.activated(h, projMLP, .geluTanh)
            let kvq = attention.room(x.rows, in: compute)
            attention(kvq, h, rope: rope, in: compute)
            let attended = attention.attend(kvq, in: compute)
            compute.begin(addition, [compute.operand(attended, projOut.precision), inner])
            compute.finish(addition)
        }
    }
}
