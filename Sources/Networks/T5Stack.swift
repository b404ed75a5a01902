// After transformers' models/t5/modeling_t5.py (T5Stack of the encoder).

import Glibc
package import Tensors

/// The blocks of the T5 encoder, as a function of their weights; of a group's rank, its heads and its
/// columns of the feed-forward layers.
package struct T5Stack: Sendable {
    private let configuration: T5Configuration
    private let blocks: [Block]
    private let relativeAttentionBias: Tensor
    /// This rank's heads.
    private let heads: Range<Int>
    private let isSplit: Bool

    private struct Block: Sendable {
        let attentionNorm: Tensor
        let qkv: Linear
        let o: Linear
        let feedForwardNorm: Tensor
        let wi0: Linear
        let wi1: Linear
        let wo: Linear
    }

    /// Whether there is something for each rank of a group.
    package static func splits(_ configuration: T5Configuration, over ranks: Int) -> Bool {
        configuration.numHeads >= ranks && configuration.dFF >= 8 * ranks
    }

    /// Reads the parameters; of what is split, the reader's part.
    ///
    /// - Parameters:
    ///   - configuration: The sizes.
    ///   - reader: Where the parameters come from.
    /// - Throws: What the source throws.
    package init(_ configuration: T5Configuration, from reader: LayerReader) throws {
        let c = configuration
        let reader = reader.finer
        let source = reader.source
        let shard = reader.shard
        let unit = shard.unit(of: c.dFF)
        self.configuration = c
        heads = shard.range(of: c.numHeads, unit: 1)
        isSplit = !shard.isWhole
        blocks = try (0..<c.numLayers).map { index in
            let attention = "encoder.block.\(index).layer.0"
            let feedForward = "encoder.block.\(index).layer.1"
            func linear(
                _ name: String,
                _ inputs: Int,
                _ outputs: Int,
                _ split: LayerSplit
            ) throws -> Linear {
                try reader.linear(
                    name,
                    inputs: inputs,
                    outputs: outputs,
                    bias: false,
                    split: split
                )
            }
            func wide(_ name: String) throws -> Linear {
                try linear(
                    "\(feedForward).DenseReluDense.\(name)",
                    c.dModel,
                    c.dFF,
                    .outputs(unit: unit)
                )
            }
            return Block(
                attentionNorm: try source.vector("\(attention).layer_norm.weight", count: c.dModel),
                qkv: try reader.linear(
                    fusing: ["q", "k", "v"].map { ("\(attention).SelfAttention.\($0)", c.inner) },
                    inputs: [c.dModel],
                    bias: false,
                    split: .outputs(unit: c.dKV)
                ),
                o: try linear(
                    "\(attention).SelfAttention.o",
                    c.inner,
                    c.dModel,
                    .inputs(units: [c.dKV])
                ),
                feedForwardNorm: try source.vector(
                    "\(feedForward).layer_norm.weight",
                    count: c.dModel
                ),
                wi0: try wide("wi_0"),
                wi1: try wide("wi_1"),
                wo: try linear(
                    "\(feedForward).DenseReluDense.wo",
                    c.dFF,
                    c.dModel,
                    .inputs(units: [unit])
                )
            )
        }
        relativeAttentionBias = try source.matrix(
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            rows: c.relativeAttentionNumBuckets,
            columns: c.numHeads
        )
    }

    /// Updates x (tokens, model width) in place.
    ///
    /// `trace` receives what each layer adds up to, under upstream's names.
    package func callAsFunction(_ x: Tensor, in compute: Compute, trace: Trace? = nil) {
        let c = configuration
        let tokens = x.rows
        let inner = heads.count * c.dKV
        compute.withScratch {
            let bias = compute.scratch(heads.count * tokens, tokens)
            fillBias(bias, tokens: tokens)
            let h = compute.scratch(tokens, c.dModel)
            let qkv = compute.scratch(tokens, 3 * inner)
            let width = blocks.first?.wi0.outputs ?? 0
            let gate = compute.scratch(tokens, width)
            let up = compute.scratch(tokens, width)
            for (index, block) in blocks.enumerated()
            where !isSplit || compute.reduction?.failure == nil {
                compute.rmsNorm(h, x, weight: block.attentionNorm, eps: c.layerNormEpsilon)
                compute.linear(qkv, h, block.qkv)
                let q = qkv.columns(0..<inner)
                compute.biasedAttention(
                    q,
                    q: q,
                    k: qkv.columns(inner..<2 * inner),
                    v: qkv.columns(2 * inner..<3 * inner),
                    heads: heads.count,
                    scale: 1,
                    bias: bias
                )
                compute.addLinear(x, gate: nil, q, block.o)
                trace?("encoder.block.\(index).layer.0", x)
                compute.rmsNorm(h, x, weight: block.feedForwardNorm, eps: c.layerNormEpsilon)
                compute.linear(gate, h, block.wi0, activation: .geluTanh)
                compute.linear(up, h, block.wi1)
                compute.multiplyElements(gate, by: up)
                compute.addLinear(x, gate: nil, gate, block.wo)
                trace?("encoder.block.\(index).layer.1", x)
            }
        }
    }

    /// Fills bias (heads · tokens, tokens) by the distance from query to key.
    private func fillBias(_ bias: Tensor, tokens: Int) {
        let buckets = (1 - tokens..<max(tokens, 1)).map { bucket(distance: $0) }
        for (row, head) in heads.enumerated() {
            for query in 0..<tokens {
                let line = bias.row(row * tokens + query)
                for key in 0..<tokens {
                    line[key] = relativeAttentionBias.row(buckets[key - query + tokens - 1])[head]
                }
            }
        }
    }

    /// The bucket of key position − query position: exact near 0, logarithmic beyond.
    private func bucket(distance: Int) -> Int {
        let half = configuration.relativeAttentionNumBuckets / 2
        let exact = half / 2
        let sign = distance > 0 ? half : 0
        let length = abs(distance)
        guard length >= exact else { return sign + length }
        // float32 throughout, as upstream computes it: the edges of the buckets depend on it
        let ratio = logf(Float(length) / Float(exact))
        let range = Float(
            log(Double(configuration.relativeAttentionMaxDistance) / Double(exact))
        )
        let large = exact + Int(ratio / range * Float(half - exact))
        return sign + min(large, half - 1)
    }
}
