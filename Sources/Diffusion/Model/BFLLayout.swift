import Networks

/// The tensors of BFL's single files, each as tensors of the diffusers layout one behind another.
enum BFLLayout {
    /// A stored tensor and the values it is made of.
    struct Tensor {
        var name: String
        var shape: [Int]
        /// The diffusers tensor, and which of its rows; nil means all.
        var pieces: [(name: String, rows: Range<Int>?)]
    }

    /// The tensors of a transformer.
    static func transformer(_ c: FluxConfiguration) -> [Tensor] {
        var source: [String: [Int]] = [:]
        for parameter in ModelParameters(c).list { source[parameter.name] = parameter.shape }
        var tensors: [Tensor] = []
        func join(_ name: String, _ layers: [String], kinds: [String] = ["weight", "bias"]) {
            for kind in kinds {
                let pieces = layers.map { "\($0).\(kind)" }
                let shapes = pieces.compactMap { source[$0] }
                guard var shape = shapes.first, shapes.count == pieces.count else { continue }
                shape[0] = shapes.reduce(0) { $0 + $1[0] }
                let stored = kinds.count == 1 ? "\(name).scale" : "\(name).\(kind)"
                tensors.append(
                    Tensor(name: stored, shape: shape, pieces: pieces.map { ($0, nil) })
                )
            }
        }
        join("img_in", ["x_embedder"])
        join("txt_in", ["context_embedder"])
        let embedders = [
            ("time_in", "timestep_embedder"), ("guidance_in", "guidance_embedder"),
            ("vector_in", "text_embedder"),
        ]
        for (stored, name) in embedders {
            join("\(stored).in_layer", ["time_text_embed.\(name).linear_1"])
            join("\(stored).out_layer", ["time_text_embed.\(name).linear_2"])
        }
        for block in 0..<c.numLayers {
            let stored = "double_blocks.\(block)"
            let name = "transformer_blocks.\(block)"
            let streams = [
                (
                    "img", "norm1", ["to_q", "to_k", "to_v"], "to_out.0", ["norm_q", "norm_k"], "ff"
                ),
                (
                    "txt", "norm1_context", ["add_q_proj", "add_k_proj", "add_v_proj"],
                    "to_add_out", ["norm_added_q", "norm_added_k"], "ff_context"
                ),
            ]
            for (stream, norm, projections, out, scales, feed) in streams {
                join("\(stored).\(stream)_mod.lin", ["\(name).\(norm).linear"])
                join("\(stored).\(stream)_attn.qkv", projections.map { "\(name).attn.\($0)" })
                for (scale, kind) in zip(scales, ["query_norm", "key_norm"]) {
                    join(
                        "\(stored).\(stream)_attn.norm.\(kind)",
                        ["\(name).attn.\(scale)"],
                        kinds: ["weight"]
                    )
                }
                join("\(stored).\(stream)_attn.proj", ["\(name).attn.\(out)"])
                join("\(stored).\(stream)_mlp.0", ["\(name).\(feed).net.0.proj"])
                join("\(stored).\(stream)_mlp.2", ["\(name).\(feed).net.2"])
            }
        }
        for block in 0..<c.numSingleLayers {
            let stored = "single_blocks.\(block)"
            let name = "single_transformer_blocks.\(block)"
            join("\(stored).modulation.lin", ["\(name).norm.linear"])
            join(
                "\(stored).linear1",
                ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"].map { "\(name).\($0)" }
            )
            join("\(stored).linear2", ["\(name).proj_out"])
            join("\(stored).norm.query_norm", ["\(name).attn.norm_q"], kinds: ["weight"])
            join("\(stored).norm.key_norm", ["\(name).attn.norm_k"], kinds: ["weight"])
        }
        for (kind, shape) in [("weight", [2 * c.hidden, c.hidden]), ("bias", [2 * c.hidden])] {
            let name = "norm_out.linear.\(kind)"
            tensors.append(
                Tensor(
                    name: "final_layer.adaLN_modulation.1.\(kind)",
                    shape: shape,
                    pieces: [(name, c.hidden..<(2 * c.hidden)), (name, 0..<c.hidden)]
                )
            )
        }
        join("final_layer.linear", ["proj_out"])
        return tensors
    }

    /// The tensors of an autoencoder.
    static func autoencoder(_ c: AutoencoderConfiguration) -> [Tensor] {
        ModelParameters(c).list.compactMap { parameter in
            let levels = c.blockOutChannels.count
            guard let place = BFLAutoencoderSource.place(of: parameter.name, levels: levels) else {
                return nil
            }
            let shape = parameter.shape + (place.isPointwise ? [1, 1] : [])
            return Tensor(name: place.tensor, shape: shape, pieces: [(parameter.name, nil)])
        }
    }
}
