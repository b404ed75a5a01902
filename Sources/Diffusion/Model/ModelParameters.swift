package import Networks

/// The name and shape of one tensor that a network reads.
package struct ModelParameter: Sendable, Hashable {
    /// The name in the diffusers layout.
    package let name: String
    package let shape: [Int]

    package init(name: String, shape: [Int]) {
        self.name = name
        self.shape = shape
    }

    /// Count of values.
    package var count: Int { shape.reduce(1, *) }
}

/// The list of a network's tensors, made from its configuration.
package struct ModelParameters: Sendable {
    /// The tensors in the order of the network.
    package private(set) var list: [ModelParameter] = []

    /// Count of values of all tensors.
    package var count: Int { list.reduce(0) { $0 + $1.count } }

    /// The tensors of a FLUX transformer.
    package init(_ c: FluxConfiguration) {
        linear("x_embedder", c.inChannels, c.hidden)
        linear("context_embedder", c.jointAttentionDim, c.hidden)
        var embedders = [("timestep_embedder", 256), ("text_embedder", c.pooledProjectionDim)]
        if c.guidanceEmbeds { embedders.insert(("guidance_embedder", 256), at: 1) }
        for (name, width) in embedders {
            linear("time_text_embed.\(name).linear_1", width, c.hidden)
            linear("time_text_embed.\(name).linear_2", c.hidden, c.hidden)
        }
        for block in 0..<c.numLayers { doubleBlock("transformer_blocks.\(block)", c) }
        for block in 0..<c.numSingleLayers { singleBlock("single_transformer_blocks.\(block)", c) }
        linear("norm_out.linear", c.hidden, 2 * c.hidden)
        linear("proj_out", c.hidden, c.inChannels)
    }

    /// The tensors of a T5 encoder.
    package init(_ c: T5Configuration) {
        add("shared.weight", [c.vocabSize, c.dModel])
        for block in 0..<c.numLayers {
            let attention = "encoder.block.\(block).layer.0"
            for name in ["q", "k", "v"] {
                add("\(attention).SelfAttention.\(name).weight", [c.inner, c.dModel])
            }
            add("\(attention).SelfAttention.o.weight", [c.dModel, c.inner])
            if block == 0 {
                add(
                    "\(attention).SelfAttention.relative_attention_bias.weight",
                    [c.relativeAttentionNumBuckets, c.numHeads]
                )
            }
            add("\(attention).layer_norm.weight", [c.dModel])
            let feed = "encoder.block.\(block).layer.1"
            add("\(feed).DenseReluDense.wi_0.weight", [c.dFF, c.dModel])
            add("\(feed).DenseReluDense.wi_1.weight", [c.dFF, c.dModel])
            add("\(feed).DenseReluDense.wo.weight", [c.dModel, c.dFF])
            add("\(feed).layer_norm.weight", [c.dModel])
        }
        add("encoder.final_layer_norm.weight", [c.dModel])
    }

    /// The tensors of a CLIP text encoder.
    package init(_ c: CLIPConfiguration) {
        add("text_model.embeddings.token_embedding.weight", [c.vocabSize, c.hiddenSize])
        add(
            "text_model.embeddings.position_embedding.weight",
            [c.maxPositionEmbeddings, c.hiddenSize]
        )
        for layer in 0..<c.numHiddenLayers {
            let name = "text_model.encoder.layers.\(layer)"
            for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                linear("\(name).self_attn.\(projection)", c.hiddenSize, c.hiddenSize)
            }
            norm("\(name).layer_norm1", c.hiddenSize)
            linear("\(name).mlp.fc1", c.hiddenSize, c.intermediateSize)
            linear("\(name).mlp.fc2", c.intermediateSize, c.hiddenSize)
            norm("\(name).layer_norm2", c.hiddenSize)
        }
        norm("text_model.final_layer_norm", c.hiddenSize)
    }

    /// The tensors of an autoencoder.
    package init(_ c: AutoencoderConfiguration) {
        let widths = c.blockOutChannels
        guard let finest = widths.first, let coarsest = widths.last else { return }
        convolution("encoder.conv_in", c.inChannels, finest)
        var width = finest
        for (level, next) in widths.enumerated() {
            for block in 0..<c.layersPerBlock {
                let name = "encoder.down_blocks.\(level).resnets.\(block)"
                residual(name, block == 0 ? width : next, next)
            }
            if level < widths.count - 1 {
                convolution("encoder.down_blocks.\(level).downsamplers.0.conv", next, next)
            }
            width = next
        }
        middle("encoder.mid_block", coarsest)
        norm("encoder.conv_norm_out", coarsest)
        convolution("encoder.conv_out", coarsest, 2 * c.latentChannels)

        convolution("decoder.conv_in", c.latentChannels, coarsest)
        middle("decoder.mid_block", coarsest)
        width = coarsest
        for (level, next) in widths.reversed().enumerated() {
            for block in 0...c.layersPerBlock {
                let name = "decoder.up_blocks.\(level).resnets.\(block)"
                residual(name, block == 0 ? width : next, next)
            }
            if level < widths.count - 1 {
                convolution("decoder.up_blocks.\(level).upsamplers.0.conv", next, next)
            }
            width = next
        }
        norm("decoder.conv_norm_out", finest)
        convolution("decoder.conv_out", finest, c.outChannels)
    }

    // MARK: - Layers

    private mutating func add(_ name: String, _ shape: [Int]) {
        list.append(ModelParameter(name: name, shape: shape))
    }

    private mutating func linear(_ name: String, _ from: Int, _ to: Int) {
        add("\(name).weight", [to, from])
        add("\(name).bias", [to])
    }

    private mutating func norm(_ name: String, _ width: Int) {
        add("\(name).weight", [width])
        add("\(name).bias", [width])
    }

    private mutating func convolution(_ name: String, _ from: Int, _ to: Int, side: Int = 3) {
        add("\(name).weight", [to, from, side, side])
        add("\(name).bias", [to])
    }

    private mutating func doubleBlock(_ name: String, _ c: FluxConfiguration) {
        linear("\(name).norm1.linear", c.hidden, 6 * c.hidden)
        linear("\(name).norm1_context.linear", c.hidden, 6 * c.hidden)
        let projections = [
            "to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0",
            "to_add_out",
        ]
        for projection in projections {
            linear("\(name).attn.\(projection)", c.hidden, c.hidden)
        }
        for scale in ["norm_q", "norm_k", "norm_added_q", "norm_added_k"] {
            add("\(name).attn.\(scale).weight", [c.attentionHeadDim])
        }
        for feed in ["ff", "ff_context"] {
            linear("\(name).\(feed).net.0.proj", c.hidden, c.mlp)
            linear("\(name).\(feed).net.2", c.mlp, c.hidden)
        }
    }

    private mutating func singleBlock(_ name: String, _ c: FluxConfiguration) {
        linear("\(name).norm.linear", c.hidden, 3 * c.hidden)
        for projection in ["to_q", "to_k", "to_v"] {
            linear("\(name).attn.\(projection)", c.hidden, c.hidden)
        }
        for scale in ["norm_q", "norm_k"] {
            add("\(name).attn.\(scale).weight", [c.attentionHeadDim])
        }
        linear("\(name).proj_mlp", c.hidden, c.mlp)
        linear("\(name).proj_out", c.hidden + c.mlp, c.hidden)
    }

    private mutating func residual(_ name: String, _ from: Int, _ to: Int) {
        norm("\(name).norm1", from)
        convolution("\(name).conv1", from, to)
        norm("\(name).norm2", to)
        convolution("\(name).conv2", to, to)
        if from != to { convolution("\(name).conv_shortcut", from, to, side: 1) }
    }

    private mutating func middle(_ name: String, _ width: Int) {
        residual("\(name).resnets.0", width, width)
        norm("\(name).attentions.0.group_norm", width)
        for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
            linear("\(name).attentions.0.\(projection)", width, width)
        }
        residual("\(name).resnets.1", width, width)
    }
}
