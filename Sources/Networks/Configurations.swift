/// The sizes of a FLUX transformer, as `transformer/config.json` gives them.
package struct FluxConfiguration: Codable, Sendable, Equatable {
    /// Width of an input token: 64, a 2×2 patch of 16 latent channels.
    package var inChannels: Int
    /// Count of double-stream blocks.
    package var numLayers: Int
    /// Count of single-stream blocks.
    package var numSingleLayers: Int
    /// Width of one attention head.
    package var attentionHeadDim: Int
    /// Count of attention heads.
    package var numAttentionHeads: Int
    /// Width of the T5 features.
    package var jointAttentionDim: Int
    /// Width of CLIP's pooled vector.
    package var pooledProjectionDim: Int
    /// Whether the model takes distilled guidance (dev) or none (schnell).
    package var guidanceEmbeds: Bool
    /// Widths of the three rotary axes; their sum is the head's width.
    package var axesDimsRope: [Int]

    /// Width of the residual stream.
    package var hidden: Int { numAttentionHeads * attentionHeadDim }
    /// Width of the feed-forward layers: four times the stream's.
    package var mlp: Int { 4 * hidden }

    enum CodingKeys: String, CodingKey {
        case inChannels = "in_channels"
        case numLayers = "num_layers"
        case numSingleLayers = "num_single_layers"
        case attentionHeadDim = "attention_head_dim"
        case numAttentionHeads = "num_attention_heads"
        case jointAttentionDim = "joint_attention_dim"
        case pooledProjectionDim = "pooled_projection_dim"
        case guidanceEmbeds = "guidance_embeds"
        case axesDimsRope = "axes_dims_rope"
    }
}

/// The sizes of a T5 encoder, as `text_encoder_2/config.json` gives them.
package struct T5Configuration: Codable, Sendable, Equatable {
    package var vocabSize: Int
    package var dModel: Int
    package var dKV: Int
    package var dFF: Int
    package var numLayers: Int
    package var numHeads: Int
    package var relativeAttentionNumBuckets: Int
    package var relativeAttentionMaxDistance: Int
    package var layerNormEpsilon: Float

    /// Width of all heads together.
    package var inner: Int { numHeads * dKV }

    enum CodingKeys: String, CodingKey {
        case vocabSize = "vocab_size"
        case dModel = "d_model"
        case dKV = "d_kv"
        case dFF = "d_ff"
        case numLayers = "num_layers"
        case numHeads = "num_heads"
        case relativeAttentionNumBuckets = "relative_attention_num_buckets"
        case relativeAttentionMaxDistance = "relative_attention_max_distance"
        case layerNormEpsilon = "layer_norm_epsilon"
    }
}

/// The sizes of a CLIP text encoder, as `text_encoder/config.json` gives them.
package struct CLIPConfiguration: Codable, Sendable, Equatable {
    package var vocabSize: Int
    package var hiddenSize: Int
    package var intermediateSize: Int
    package var numHiddenLayers: Int
    package var numAttentionHeads: Int
    package var maxPositionEmbeddings: Int
    package var layerNormEps: Float

    enum CodingKeys: String, CodingKey {
        case vocabSize = "vocab_size"
        case hiddenSize = "hidden_size"
        case intermediateSize = "intermediate_size"
        case numHiddenLayers = "num_hidden_layers"
        case numAttentionHeads = "num_attention_heads"
        case maxPositionEmbeddings = "max_position_embeddings"
        case layerNormEps = "layer_norm_eps"
    }
}

/// The sizes of an autoencoder, as `vae/config.json` gives them.
package struct AutoencoderConfiguration: Codable, Sendable, Equatable {
    package var inChannels: Int
    package var outChannels: Int
    package var latentChannels: Int
    /// Channels of each level, finest first.
    package var blockOutChannels: [Int]
    /// Residual blocks a level in the encoder; the decoder has one more.
    package var layersPerBlock: Int
    package var normNumGroups: Int
    package var scalingFactor: Float
    package var shiftFactor: Float

    enum CodingKeys: String, CodingKey {
        case inChannels = "in_channels"
        case outChannels = "out_channels"
        case latentChannels = "latent_channels"
        case blockOutChannels = "block_out_channels"
        case layersPerBlock = "layers_per_block"
        case normNumGroups = "norm_num_groups"
        case scalingFactor = "scaling_factor"
        case shiftFactor = "shift_factor"
    }
}
