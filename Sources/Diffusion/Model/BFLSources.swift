package import Tensors

/// A FLUX transformer in the layout of its first publication (`flux1-dev.safetensors`), read
/// under diffusers names.
///
/// The map is that of upstream's `convert_flux_to_diffusers.py`: fused q, k and v are thirds of
/// the rows, `linear1` is q, k, v and the feed-forward projection, and the two halves of
/// `norm_out.linear` are swapped.
package struct BFLTransformerSource: MappedSource {
    package let set: SafetensorsSet
    private let prefix: String

    /// The prefix that checkpoints with several networks put before each name.
    package static let checkpointPrefix = "model.diffusion_model."

    /// The transformer of one file.
    package init(_ set: SafetensorsSet) {
        self.set = set
        prefix = set.shape(of: "img_in.weight") == nil ? Self.checkpointPrefix : ""
    }

    /// Whether a set of weights has this layout.
    package static func matches(_ set: SafetensorsSet) -> Bool {
        ["img_in.weight", checkpointPrefix + "img_in.weight"]
            .contains { set.shape(of: $0) != nil }
    }

    /// Whether the file has a guidance embedding, as dev has and schnell has not.
    package var hasGuidance: Bool {
        self.set.shape(of: prefix + "guidance_in.in_layer.weight") != nil
    }

    package func place(of name: String) -> TensorPlace? {
        guard let dot = name.lastIndex(of: ".") else { return nil }
        let layer = name[..<dot]
        let kind = String(name[dot...])
        if let stored = Self.fixed[String(layer)] {
            return TensorPlace(tensor: prefix + stored + kind)
        }
        if layer == "norm_out.linear" { return swappedHalves(kind) }
        let words = layer.split(separator: ".", maxSplits: 2)
        guard words.count == 3, let block = Int(words[1]) else { return nil }
        switch words[0] {
        case "transformer_blocks":
            return doubleBlock("\(prefix)double_blocks.\(block).", String(words[2]), kind)
        case "single_transformer_blocks":
            return singleBlock("\(prefix)single_blocks.\(block).", String(words[2]), kind)
        default: return nil
        }
    }

    private static let fixed = [
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
        "proj_out": "final_layer.linear",
    ]

    private static let double = [
        "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin",
        "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
        "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
        "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
    ]

    private static let doubleScales = [
        "attn.norm_q": "img_attn.norm.query_norm", "attn.norm_k": "img_attn.norm.key_norm",
        "attn.norm_added_q": "txt_attn.norm.query_norm",
        "attn.norm_added_k": "txt_attn.norm.key_norm",
    ]

    private static let fused = [
        "attn.to_q": ("img_attn", 0), "attn.to_k": ("img_attn", 1), "attn.to_v": ("img_attn", 2),
        "attn.add_q_proj": ("txt_attn", 0), "attn.add_k_proj": ("txt_attn", 1),
        "attn.add_v_proj": ("txt_attn", 2),
    ]

    private func doubleBlock(_ block: String, _ layer: String, _ kind: String) -> TensorPlace? {
        if let stored = Self.double[layer] { return TensorPlace(tensor: block + stored + kind) }
        if let stored = Self.doubleScales[layer] {
            return TensorPlace(tensor: "\(block)\(stored).scale")
        }
        guard let (stream, third) = Self.fused[layer] else { return nil }
        let tensor = "\(block)\(stream).qkv\(kind)"
        guard let height = set.shape(of: tensor)?.first, height.isMultiple(of: 3) else {
            return nil
        }
        let rows = height / 3
        return TensorPlace(tensor: tensor, rows: [(third * rows)..<((third + 1) * rows)])
    }

    private func singleBlock(_ block: String, _ layer: String, _ kind: String) -> TensorPlace? {
        switch layer {
        case "norm.linear": return TensorPlace(tensor: "\(block)modulation.lin\(kind)")
        case "proj_out": return TensorPlace(tensor: "\(block)linear2\(kind)")
        case "attn.norm_q": return TensorPlace(tensor: "\(block)norm.query_norm.scale")
        case "attn.norm_k": return TensorPlace(tensor: "\(block)norm.key_norm.scale")
        default: break
        }
        let tensor = "\(block)linear1\(kind)"
        guard
            let slice = ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"].firstIndex(of: layer),
            let weight = set.shape(of: "\(block)linear1.weight"), weight.count == 2,
            weight[0] > 3 * weight[1]
        else { return nil }
        let hidden = weight[1]
        let end = slice == 3 ? weight[0] : (slice + 1) * hidden
        return TensorPlace(tensor: tensor, rows: [(slice * hidden)..<end])
    }

    private func swappedHalves(_ kind: String) -> TensorPlace? {
        let tensor = "\(prefix)final_layer.adaLN_modulation.1\(kind)"
        guard let height = set.shape(of: tensor)?.first, height.isMultiple(of: 2) else {
            return nil
        }
        return TensorPlace(tensor: tensor, rows: [(height / 2)..<height, 0..<(height / 2)])
    }
}

/// An autoencoder in the layout of its first publication (`ae.safetensors`), read under diffusers
/// names.
///
/// The decoder counts its levels from the finest, and the middle attention's projections are 1×1
/// convolutions.
package struct BFLAutoencoderSource: MappedSource {
    package let set: SafetensorsSet
    private let levels: Int

    /// The autoencoder of one file with that many levels of resolution.
    package init(_ set: SafetensorsSet, levels: Int) {
        self.set = set
        self.levels = levels
    }

    /// Whether a set of weights has this layout.
    package static func matches(_ set: SafetensorsSet) -> Bool {
        set.shape(of: "encoder.down.0.block.0.conv1.weight") != nil
    }

    package func place(of name: String) -> TensorPlace? {
        Self.place(of: name, levels: levels)
    }

    /// Where a tensor lies in a file of an autoencoder with that many levels.
    static func place(of name: String, levels: Int) -> TensorPlace? {
        var words = name.split(separator: ".").map(String.init)
        guard words.count >= 3 else { return nil }
        switch words[1] {
        case "conv_norm_out": words[1] = "norm_out"
        case "down_blocks", "up_blocks":
            guard words.count >= 6, let level = Int(words[2]) else { return nil }
            let isDown = words[1] == "down_blocks"
            words[1] = isDown ? "down" : "up"
            words[2] = String(isDown ? level : levels - 1 - level)
            switch words[3] {
            case "resnets":
                words[3] = "block"
                if words[5] == "conv_shortcut" { words[5] = "nin_shortcut" }
            case "downsamplers": words.replaceSubrange(3...4, with: ["downsample"])
            case "upsamplers": words.replaceSubrange(3...4, with: ["upsample"])
            default: return nil
            }
        case "mid_block":
            guard words.count >= 6 else { return nil }
            return middle(words)
        default: break
        }
        return TensorPlace(tensor: words.joined(separator: "."))
    }

    private static let attention = [
        "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
    ]

    private static func middle(_ words: [String]) -> TensorPlace? {
        guard let index = Int(words[3]), let kind = words.last else { return nil }
        let layer = words[4..<(words.count - 1)].joined(separator: ".")
        if words[2] == "resnets" {
            return TensorPlace(tensor: "\(words[0]).mid.block_\(index + 1).\(layer).\(kind)")
        }
        guard let stored = attention[layer] else { return nil }
        return TensorPlace(
            tensor: "\(words[0]).mid.attn_1.\(stored).\(kind)",
            isPointwise: kind == "weight" && layer != "group_norm"
        )
    }
}
