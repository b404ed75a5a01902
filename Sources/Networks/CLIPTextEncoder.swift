// After transformers' models/clip/modeling_clip.py (CLIPTextTransformer).

package import Tensors

/// The CLIP text encoder, as a function of its weights.
package struct CLIPTextEncoder: Sendable {
    package let configuration: CLIPConfiguration
    private let tokenEmbedding: Tensor
    private let positionEmbedding: Tensor
    private let layers: [Layer]
    private let finalLayerNorm: Affine

    /// Weight and bias of a layer norm.
    private struct Affine: Sendable {
        let weight: Tensor
        let bias: Tensor

        init(_ name: String, count: Int, from source: any ParameterSource) throws {
            weight = try source.vector("\(name).weight", count: count)
            bias = try source.vector("\(name).bias", count: count)
        }
    }

    private struct Layer: Sendable {
        let layerNorm1: Affine
        let qkv: Linear
        let outProj: Linear
        let layerNorm2: Affine
        let fc1: Linear
        let fc2: Linear
    }

    /// Reads all parameters, under names that begin with `text_model.`.
    package init(_ configuration: CLIPConfiguration, from reader: LayerReader) throws {
        let c = configuration
        let source = reader.source
        self.configuration = c
        tokenEmbedding = try source.matrix(
            "text_model.embeddings.token_embedding.weight",
            rows: c.vocabSize,
            columns: c.hiddenSize
        )
        positionEmbedding = try source.matrix(
            "text_model.embeddings.position_embedding.weight",
            rows: c.maxPositionEmbeddings,
            columns: c.hiddenSize
        )
        layers = try (0..<c.numHiddenLayers).map { index in
            let name = "text_model.encoder.layers.\(index)"
            func linear(_ part: String, _ inputs: Int, _ outputs: Int) throws -> Linear {
                try reader.linear("\(name).\(part)", inputs: inputs, outputs: outputs)
            }
            return Layer(
                layerNorm1: try Affine("\(name).layer_norm1", count: c.hiddenSize, from: source),
                qkv: try reader.linear(
                    fusing: ["q_proj", "k_proj", "v_proj"].map {
                        ("\(name).self_attn.\($0)", c.hiddenSize)
                    },
                    inputs: [c.hiddenSize]
                ),
                outProj: try linear("self_attn.out_proj", c.hiddenSize, c.hiddenSize),
                layerNorm2: try Affine("\(name).layer_norm2", count: c.hiddenSize, from: source),
                fc1: try linear("mlp.fc1", c.hiddenSize, c.intermediateSize),
                fc2: try linear("mlp.fc2", c.intermediateSize, c.hiddenSize)
            )
        }
        finalLayerNorm = try Affine(
            "text_model.final_layer_norm",
            count: c.hiddenSize,
            from: source
        )
    }

    /// The pooled vector of token ids, (1, hidden size): the state at the first greatest id.
    ///
    /// `trace` receives the embeddings and each layer's output, under upstream's names.
    package func callAsFunction(
        _ ids: [Int],
        in compute: Compute,
        trace: Trace? = nil
    ) -> Tensor {
        let c = configuration
        precondition(ids.count <= c.maxPositionEmbeddings, "as many ids as positions, at most")
        let pooled = Tensor(rows: 1, columns: c.hiddenSize)
        compute.withScratch {
            let x = compute.scratch(ids.count, c.hiddenSize)
            for (row, id) in ids.enumerated() {
                precondition(id < tokenEmbedding.rows, "token id \(id) has no row")
                x.row(row).update(from: tokenEmbedding.row(id), count: c.hiddenSize)
            }
            compute.add(x, positionEmbedding.rows(0..<ids.count))
            trace?("text_model.embeddings", x)
            let h = compute.scratch(ids.count, c.hiddenSize)
            let qkv = compute.scratch(ids.count, 3 * c.hiddenSize)
            let inner = compute.scratch(ids.count, c.intermediateSize)
            for (index, layer) in layers.enumerated() {
                norm(h, x, layer.layerNorm1, in: compute)
                compute.linear(qkv, h, layer.qkv)
                let q = qkv.columns(0..<c.hiddenSize)
                compute.biasedAttention(
                    q,
                    q: q,
                    k: qkv.columns(c.hiddenSize..<2 * c.hiddenSize),
                    v: qkv.columns(2 * c.hiddenSize..<3 * c.hiddenSize),
                    heads: c.numAttentionHeads,
                    scale: 1 / Float(c.hiddenSize / c.numAttentionHeads).squareRoot(),
                    causal: true
                )
                compute.addLinear(x, gate: nil, q, layer.outProj)
                norm(h, x, layer.layerNorm2, in: compute)
                compute.linear(inner, h, layer.fc1, activation: .quickGELU)
                compute.addLinear(x, gate: nil, inner, layer.fc2)
                trace?("text_model.encoder.layers.\(index)", x)
            }
            let greatest = ids.max() ?? 0
            let row = ids.firstIndex(of: greatest) ?? 0
            norm(pooled, x.rows(row..<row + 1), finalLayerNorm, in: compute)
        }
        return pooled
    }

    private func norm(_ out: Tensor, _ x: Tensor, _ affine: Affine, in compute: Compute) {
        compute.layerNorm(
            out,
            x,
            weight: affine.weight,
            bias: affine.bias,
            eps: configuration.layerNormEps
        )
    }
}
