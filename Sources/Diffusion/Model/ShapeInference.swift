import Networks
import Tensors

/// Reads the sizes of a network from the shapes of its tensors, for files without a configuration.
struct ShapeInference {
    private let source: any ParameterSource
    private let file: String

    /// The weights under diffusers names, and the file that errors name.
    init(_ source: any ParameterSource, _ file: String) {
        self.source = source
        self.file = file
    }

    func transformer(_ hasGuidance: Bool) throws -> FluxConfiguration {
        let stream = try matrix("x_embedder.weight")
        let head = try shape("single_transformer_blocks.0.attn.norm_q.weight", rank: 1)[0]
        guard head == FluxConfiguration.dev.attentionHeadDim else {
            throw ModelError.contradiction(
                file: file,
                problem: "has heads of \(head), whose rotary axes shapes do not tell; "
                    + "put its config.json beside it"
            )
        }
        var configuration = FluxConfiguration.dev
        configuration.inChannels = stream[1]
        configuration.attentionHeadDim = head
        configuration.numAttentionHeads = stream[0] / head
        configuration.numLayers = count { "transformer_blocks.\($0).attn.to_q.weight" }
        configuration.numSingleLayers = count { "single_transformer_blocks.\($0).proj_out.weight" }
        configuration.jointAttentionDim = try matrix("context_embedder.weight")[1]
        configuration.pooledProjectionDim =
            try matrix("time_text_embed.text_embedder.linear_1.weight")[1]
        configuration.guidanceEmbeds = hasGuidance
        return configuration
    }

    func clip() throws -> CLIPConfiguration {
        let table = try matrix("text_model.embeddings.token_embedding.weight")
        var configuration = CLIPConfiguration.large
        configuration.vocabSize = table[0]
        configuration.hiddenSize = table[1]
        configuration.intermediateSize =
            try matrix("text_model.encoder.layers.0.mlp.fc1.weight")[0]
        configuration.numHiddenLayers = count {
            "text_model.encoder.layers.\($0).mlp.fc1.weight"
        }
        configuration.maxPositionEmbeddings =
            try matrix("text_model.embeddings.position_embedding.weight")[0]
        // All published CLIP text encoders have heads of 64.
        guard table[1].isMultiple(of: 64) else {
            throw ModelError.contradiction(
                file: file,
                problem: "is \(table[1]) wide, which heads of 64 do not divide; "
                    + "put its config.json beside it"
            )
        }
        configuration.numAttentionHeads = table[1] / 64
        return configuration
    }

    func t5() throws -> T5Configuration {
        let table = try matrix("shared.weight")
        let attention = "encoder.block.0.layer.0.SelfAttention"
        let bias = try matrix("\(attention).relative_attention_bias.weight")
        var configuration = T5Configuration.xxl
        configuration.vocabSize = table[0]
        configuration.dModel = table[1]
        configuration.numHeads = bias[1]
        configuration.relativeAttentionNumBuckets = bias[0]
        configuration.dKV = try matrix("\(attention).q.weight")[0] / max(1, bias[1])
        configuration.dFF = try matrix("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")[0]
        configuration.numLayers = count { "encoder.block.\($0).layer.0.layer_norm.weight" }
        return configuration
    }

    func autoencoder() throws -> AutoencoderConfiguration {
        var configuration = AutoencoderConfiguration.flux
        func convolution(_ level: Int, _ block: Int) -> String {
            "encoder.down_blocks.\(level).resnets.\(block).conv1.weight"
        }
        let levels = count { convolution($0, 0) }
        configuration.blockOutChannels = try (0..<levels).map {
            try shape(convolution($0, 0), rank: 4)[0]
        }
        configuration.layersPerBlock = count { convolution(0, $0) }
        configuration.inChannels = try shape("encoder.conv_in.weight", rank: 4)[1]
        configuration.outChannels = try shape("decoder.conv_out.weight", rank: 4)[0]
        configuration.latentChannels = try shape("decoder.conv_in.weight", rank: 4)[1]
        return configuration
    }

    private func matrix(_ name: String) throws -> [Int] { try shape(name, rank: 2) }

    private func shape(_ name: String, rank: Int) throws -> [Int] {
        guard let shape = source.shape(of: name) else {
            throw SafetensorsError.missing(file: file, tensor: name)
        }
        guard shape.count == rank, shape.allSatisfy({ $0 > 0 }) else {
            throw ModelError.contradiction(
                file: file,
                problem: "'\(name)' has shape \(shape), not \(rank) sides"
            )
        }
        return shape
    }

    /// How many indices from 0 on have a tensor.
    private func count(_ name: (Int) -> String) -> Int {
        var index = 0
        while source.shape(of: name(index)) != nil { index += 1 }
        return index
    }
}
