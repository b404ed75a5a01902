// After transformers' models/t5/modeling_t5.py (T5Stack of the encoder).

import Glibc
package import Tensors

/// The T5 text encoder, as a function of its weights.
package struct T5Encoder: Sendable {
    package let configuration: T5Configuration
    private let shared: EmbeddingTable
    private let placeholders: Tensor?
    private let firstPlaceholder: Int
    private let blocks: [Block]
    private let relativeAttentionBias: Tensor
    private let finalLayerNorm: Tensor

    private struct Block: Sendable {
        let attentionNorm: Tensor
        let qkv: Linear
        let o: Linear
        let feedForwardNorm: Tensor
        let wi0: Linear
        let wi1: Linear
        let wo: Linear
    }

    /// Reads all parameters.
    ///
    /// - Parameters:
    ///   - configuration: The sizes.
    ///   - reader: Where the parameters come from.
    ///   - placeholders: The input rows of added tokens: (tokens, model width), or nil.
    ///   - firstPlaceholder: The id of the first of them; ids from there on use these rows.
    /// - Throws: What the source throws.
    package init(
        _ configuration: T5Configuration,
        from reader: LayerReader,
        placeholders: Tensor? = nil,
        firstPlaceholder: Int = .max
    ) throws {
        let c = configuration
        let reader = reader.finer
        let source = reader.source
        self.configuration = c
        self.placeholders = placeholders
        self.firstPlaceholder = firstPlaceholder
        shared = try reader.embeddings("shared.weight", rows: c.vocabSize, columns: c.dModel)
        blocks = try (0..<c.numLayers).map { index in
            let attention = "encoder.block.\(index).layer.0"
            let feedForward = "encoder.block.\(index).layer.1"
            func linear(_ name: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
                try reader.linear(name, inputs: inputs, outputs: outputs, bias: false)
            }
            return Block(
                attentionNorm: try source.vector("\(attention).layer_norm.weight", count: c.dModel),
                qkv: try reader.linear(
                    fusing: ["q", "k", "v"].map { ("\(attention).SelfAttention.\($0)", c.inner) },
                    inputs: [c.dModel],
                    bias: false
                ),
                o: try linear("\(attention).SelfAttention.o", c.inner, c.dModel),
                feedForwardNorm: try source.vector(
                    "\(feedForward).layer_norm.weight",
                    count: c.dModel
                ),
                wi0: try linear("\(feedForward).DenseReluDense.wi_0", c.dModel, c.dFF),
                wi1: try linear("\(feedForward).DenseReluDense.wi_1", c.dModel, c.dFF),
                wo: try linear("\(feedForward).DenseReluDense.wo", c.dFF, c.dModel)
            )
        }
        relativeAttentionBias = try source.matrix(
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            rows: c.relativeAttentionNumBuckets,
            columns: c.numHeads
        )
        finalLayerNorm = try source.vector("encoder.final_layer_norm.weight", count: c.dModel)
    }

    /// The features of token ids: (tokens, model width).
    ///
    /// Padding is attended to, as in FLUX. `trace` receives what each layer adds up to, under
    /// upstream's names.
    package func callAsFunction(
        _ ids: [Int],
        in compute: Compute,
        trace: Trace? = nil
    ) -> Tensor {
        let c = configuration
        let x = Tensor(rows: ids.count, columns: c.dModel)
        for (row, id) in ids.enumerated() {
            embed(id, to: x.row(row))
        }
        compute.withScratch {
            let bias = compute.scratch(c.numHeads * ids.count, ids.count)
            fillBias(bias, tokens: ids.count)
            let h = compute.scratch(ids.count, c.dModel)
            let qkv = compute.scratch(ids.count, 3 * c.inner)
            let gate = compute.scratch(ids.count, c.dFF)
            let up = compute.scratch(ids.count, c.dFF)
            for (index, block) in blocks.enumerated() {
                compute.rmsNorm(h, x, weight: block.attentionNorm, eps: c.layerNormEpsilon)
                compute.linear(qkv, h, block.qkv)
                let q = qkv.columns(0..<c.inner)
                compute.biasedAttention(
                    q,
                    q: q,
                    k: qkv.columns(c.inner..<2 * c.inner),
                    v: qkv.columns(2 * c.inner..<3 * c.inner),
                    heads: c.numHeads,
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
            compute.rmsNorm(h, x, weight: finalLayerNorm, eps: c.layerNormEpsilon)
            x.copy(from: h)
        }
        return x
    }

    private func embed(_ id: Int, to out: UnsafeMutablePointer<Float>) {
        if id >= firstPlaceholder, let placeholders {
            out.update(from: placeholders.row(id - firstPlaceholder), count: configuration.dModel)
        } else {
            shared.copyRow(id, to: out)
        }
    }

    /// Fills bias (heads · tokens, tokens) by the distance from query to key.
    private func fillBias(_ bias: Tensor, tokens: Int) {
        let buckets = (1 - tokens..<max(tokens, 1)).map { bucket(distance: $0) }
        for head in 0..<configuration.numHeads {
            for query in 0..<tokens {
                let row = bias.row(head * tokens + query)
                for key in 0..<tokens {
                    row[key] = relativeAttentionBias.row(buckets[key - query + tokens - 1])[head]
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
