import Networks

/// A configuration whose numbers can be checked among themselves before anything is built on them.
protocol CheckedConfiguration: Decodable, Sendable {
    /// Values, as JSON, of keys that published files leave out.
    static var defaults: [String: String] { get }

    /// A tensor of the block behind the last one, by the key that counts the blocks.
    ///
    /// Weights that have it belong to another configuration.
    var excess: [(key: String, tensor: String)] { get }

    /// Checks ranges and relations.
    func check(file: String) throws(ModelError)
}

extension CheckedConfiguration {
    static var defaults: [String: String] { [:] }

    var excess: [(key: String, tensor: String)] { [] }

    /// Checks that sizes are positive and small enough for their products to be counted.
    func checkSizes(_ sizes: [(String, Int)], file: String) throws(ModelError) {
        for (key, size) in sizes where !(1...1_000_000 ~= size) {
            throw .configuration(file: file, problem: "has \(size) at key '\(key)'")
        }
    }

    /// Checks that a norm's epsilon is positive and small.
    func checkEpsilon(_ key: String, _ value: Float, file: String) throws(ModelError) {
        guard value > 0, value < 1 else {
            throw .configuration(file: file, problem: "has \(value) at key '\(key)'")
        }
    }

    func checkCounts(_ counts: [(String, Int)], file: String) throws(ModelError) {
        for (key, count) in counts where !(0...1_000 ~= count) {
            throw .configuration(file: file, problem: "has \(count) at key '\(key)'")
        }
    }
}

extension FluxConfiguration: CheckedConfiguration {
    var excess: [(key: String, tensor: String)] {
        [
            ("num_layers", "transformer_blocks.\(numLayers).attn.to_q.weight"),
            (
                "num_single_layers",
                "single_transformer_blocks.\(numSingleLayers).attn.to_q.weight"
            ),
        ]
    }

    func check(file: String) throws(ModelError) {
        try checkSizes(
            [
                ("in_channels", inChannels), ("attention_head_dim", attentionHeadDim),
                ("num_attention_heads", numAttentionHeads),
                ("joint_attention_dim", jointAttentionDim),
                ("pooled_projection_dim", pooledProjectionDim),
            ] + axesDimsRope.map { ("axes_dims_rope", $0) },
            file: file
        )
        try checkCounts(
            [("num_layers", numLayers), ("num_single_layers", numSingleLayers)],
            file: file
        )
        let sum = axesDimsRope.reduce(0, +)
        guard axesDimsRope.count == 3, sum == attentionHeadDim,
            axesDimsRope.allSatisfy({ $0.isMultiple(of: 2) })
        else {
            throw .configuration(
                file: file,
                problem: "has axes_dims_rope \(axesDimsRope) (sum \(sum)), attention_head_dim is "
                    + "\(attentionHeadDim): three even widths with that sum are needed"
            )
        }
        guard inChannels.isMultiple(of: 4) else {
            throw .configuration(
                file: file,
                problem: "has in_channels \(inChannels), which is no 2×2 patch"
            )
        }
    }
}

extension T5Configuration: CheckedConfiguration {
    static let defaults = ["relative_attention_max_distance": "128"]

    var excess: [(key: String, tensor: String)] {
        [("num_layers", "encoder.block.\(numLayers).layer.0.SelfAttention.q.weight")]
    }

    func check(file: String) throws(ModelError) {
        try checkSizes(
            [
                ("vocab_size", vocabSize), ("d_model", dModel), ("d_kv", dKV), ("d_ff", dFF),
                ("num_heads", numHeads),
                ("relative_attention_num_buckets", relativeAttentionNumBuckets),
                ("relative_attention_max_distance", relativeAttentionMaxDistance),
            ],
            file: file
        )
        try checkCounts([("num_layers", numLayers)], file: file)
        try checkEpsilon("layer_norm_epsilon", layerNormEpsilon, file: file)
        let exact = relativeAttentionNumBuckets / 4
        guard exact > 0, relativeAttentionMaxDistance > exact else {
            throw .configuration(
                file: file,
                problem: "has relative_attention_max_distance \(relativeAttentionMaxDistance), "
                    + "which \(relativeAttentionNumBuckets) buckets "
                    + "(relative_attention_num_buckets) cannot divide"
            )
        }
    }
}

extension CLIPConfiguration: CheckedConfiguration {
    var excess: [(key: String, tensor: String)] {
        let layer = "text_model.encoder.layers.\(numHiddenLayers)"
        return [("num_hidden_layers", "\(layer).self_attn.q_proj.weight")]
    }

    func check(file: String) throws(ModelError) {
        try checkSizes(
            [
                ("vocab_size", vocabSize), ("hidden_size", hiddenSize),
                ("intermediate_size", intermediateSize),
                ("num_attention_heads", numAttentionHeads),
                ("max_position_embeddings", maxPositionEmbeddings),
            ],
            file: file
        )
        try checkCounts([("num_hidden_layers", numHiddenLayers)], file: file)
        try checkEpsilon("layer_norm_eps", layerNormEps, file: file)
        guard hiddenSize.isMultiple(of: numAttentionHeads) else {
            throw .configuration(
                file: file,
                problem: "has hidden_size \(hiddenSize), which \(numAttentionHeads) heads "
                    + "(num_attention_heads) do not divide"
            )
        }
    }
}

extension AutoencoderConfiguration: CheckedConfiguration {
    func check(file: String) throws(ModelError) {
        try checkSizes(
            [
                ("in_channels", inChannels), ("out_channels", outChannels),
                ("latent_channels", latentChannels), ("layers_per_block", layersPerBlock),
                ("norm_num_groups", normNumGroups),
            ] + blockOutChannels.map { ("block_out_channels", $0) },
            file: file
        )
        // Four levels make a token 16 pixels wide, of which every side is a multiple.
        guard 1...4 ~= blockOutChannels.count, layersPerBlock <= 100 else {
            throw .configuration(
                file: file,
                problem: "has \(blockOutChannels.count) block_out_channels and layers_per_block "
                    + "\(layersPerBlock)"
            )
        }
        guard inChannels == 3, outChannels == 3 else {
            throw .configuration(
                file: file,
                problem: "has in_channels \(inChannels) and out_channels \(outChannels), "
                    + "pictures have 3"
            )
        }
        for width in blockOutChannels where !width.isMultiple(of: normNumGroups) {
            throw .configuration(
                file: file,
                problem: "has block_out_channels \(width), which \(normNumGroups) groups "
                    + "(norm_num_groups) do not divide"
            )
        }
        guard scalingFactor.isFinite, scalingFactor != 0, shiftFactor.isFinite else {
            throw .configuration(
                file: file,
                problem: "has scaling_factor \(scalingFactor), shift_factor \(shiftFactor)"
            )
        }
    }
}

extension SchedulerConfiguration: CheckedConfiguration {
    func check(file: String) throws(ModelError) {
        try checkSizes(
            [
                ("num_train_timesteps", numTrainTimesteps),
                ("base_image_seq_len", baseImageSeqLen), ("max_image_seq_len", maxImageSeqLen),
            ],
            file: file
        )
        guard shift > 0, shift <= 1000 else {
            throw .configuration(file: file, problem: "has \(shift) at key 'shift'")
        }
        for (key, value) in [("base_shift", baseShift), ("max_shift", maxShift)]
        where !(-10...10 ~= value) {
            throw .configuration(file: file, problem: "has \(value) at key '\(key)'")
        }
        guard baseImageSeqLen < maxImageSeqLen else {
            throw .configuration(
                file: file,
                problem: "has base_image_seq_len \(baseImageSeqLen), which is not below "
                    + "max_image_seq_len \(maxImageSeqLen)"
            )
        }
    }
}
