import Networks

/// The JSON texts of a model's configuration files, with the keys that upstream's loaders ask for.
enum ConfigurationText {
    static func transformer(_ c: FluxConfiguration) -> String {
        object([
            ("_class_name", "\"FluxTransformer2DModel\""),
            ("attention_head_dim", "\(c.attentionHeadDim)"),
            ("axes_dims_rope", "\(c.axesDimsRope)"),
            ("guidance_embeds", "\(c.guidanceEmbeds)"),
            ("in_channels", "\(c.inChannels)"),
            ("joint_attention_dim", "\(c.jointAttentionDim)"),
            ("num_attention_heads", "\(c.numAttentionHeads)"),
            ("num_layers", "\(c.numLayers)"),
            ("num_single_layers", "\(c.numSingleLayers)"),
            ("patch_size", "1"),
            ("pooled_projection_dim", "\(c.pooledProjectionDim)"),
        ])
    }

    static func t5(_ c: T5Configuration) -> String {
        object([
            ("architectures", "[\"T5EncoderModel\"]"),
            ("d_ff", "\(c.dFF)"),
            ("d_kv", "\(c.dKV)"),
            ("d_model", "\(c.dModel)"),
            ("dense_act_fn", "\"gelu_new\""),
            ("eos_token_id", "1"),
            ("feed_forward_proj", "\"gated-gelu\""),
            ("is_encoder_decoder", "true"),
            ("is_gated_act", "true"),
            ("layer_norm_epsilon", "\(c.layerNormEpsilon)"),
            ("model_type", "\"t5\""),
            ("num_heads", "\(c.numHeads)"),
            ("num_layers", "\(c.numLayers)"),
            ("pad_token_id", "0"),
            ("relative_attention_max_distance", "\(c.relativeAttentionMaxDistance)"),
            ("relative_attention_num_buckets", "\(c.relativeAttentionNumBuckets)"),
            ("tie_word_embeddings", "false"),
            ("vocab_size", "\(c.vocabSize)"),
        ])
    }

    static func clip(_ c: CLIPConfiguration) -> String {
        object([
            ("architectures", "[\"CLIPTextModel\"]"),
            ("bos_token_id", "0"),
            ("eos_token_id", "2"),
            ("hidden_act", "\"quick_gelu\""),
            ("hidden_size", "\(c.hiddenSize)"),
            ("intermediate_size", "\(c.intermediateSize)"),
            ("layer_norm_eps", "\(c.layerNormEps)"),
            ("max_position_embeddings", "\(c.maxPositionEmbeddings)"),
            ("model_type", "\"clip_text_model\""),
            ("num_attention_heads", "\(c.numAttentionHeads)"),
            ("num_hidden_layers", "\(c.numHiddenLayers)"),
            ("pad_token_id", "1"),
            ("projection_dim", "\(c.hiddenSize)"),
            ("vocab_size", "\(c.vocabSize)"),
        ])
    }

    static func autoencoder(_ c: AutoencoderConfiguration) -> String {
        let levels = c.blockOutChannels.count
        func types(_ name: String) -> String {
            "[\(Array(repeating: "\"\(name)\"", count: levels).joined(separator: ", "))]"
        }
        return object([
            ("_class_name", "\"AutoencoderKL\""),
            ("act_fn", "\"silu\""),
            ("block_out_channels", "\(c.blockOutChannels)"),
            ("down_block_types", types("DownEncoderBlock2D")),
            ("in_channels", "\(c.inChannels)"),
            ("latent_channels", "\(c.latentChannels)"),
            ("layers_per_block", "\(c.layersPerBlock)"),
            ("mid_block_add_attention", "true"),
            ("norm_num_groups", "\(c.normNumGroups)"),
            ("out_channels", "\(c.outChannels)"),
            ("scaling_factor", "\(c.scalingFactor)"),
            ("shift_factor", "\(c.shiftFactor)"),
            ("up_block_types", types("UpDecoderBlock2D")),
            ("use_post_quant_conv", "false"),
            ("use_quant_conv", "false"),
        ])
    }

    static func scheduler(_ c: SchedulerConfiguration) -> String {
        object([
            ("_class_name", "\"FlowMatchEulerDiscreteScheduler\""),
            ("base_image_seq_len", "\(c.baseImageSeqLen)"),
            ("base_shift", "\(c.baseShift)"),
            ("max_image_seq_len", "\(c.maxImageSeqLen)"),
            ("max_shift", "\(c.maxShift)"),
            ("num_train_timesteps", "\(c.numTrainTimesteps)"),
            ("shift", "\(c.shift)"),
            ("use_dynamic_shifting", "\(c.useDynamicShifting)"),
        ])
    }

    /// `model_index.json`, by which upstream's loaders find the parts.
    static let modelIndex = object([
        ("_class_name", "\"FluxPipeline\""),
        ("_diffusers_version", "\"0.33.1\""),
        ("scheduler", "[\"diffusers\", \"FlowMatchEulerDiscreteScheduler\"]"),
        ("text_encoder", "[\"transformers\", \"CLIPTextModel\"]"),
        ("text_encoder_2", "[\"transformers\", \"T5EncoderModel\"]"),
        ("tokenizer", "[\"transformers\", \"CLIPTokenizer\"]"),
        ("tokenizer_2", "[\"transformers\", \"T5TokenizerFast\"]"),
        ("transformer", "[\"diffusers\", \"FluxTransformer2DModel\"]"),
        ("vae", "[\"diffusers\", \"AutoencoderKL\"]"),
    ])

    private static func object(_ members: [(key: String, value: String)]) -> String {
        let lines = members.map { "  \"\($0.key)\": \($0.value)" }
        return "{\n\(lines.joined(separator: ",\n"))\n}\n"
    }
}
