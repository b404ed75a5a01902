import FoundationEssentials
import GoldenSupport
import Tensors

/// A golden model written again in the layout that BFL published, tensor by tensor.
struct BFLRewrite {
    let golden: Golden
    /// Put before each of the transformer's names, as checkpoints with several networks have it.
    var prefix = ""

    /// A stored tensor and the diffusers tensors whose rows it is made of.
    private typealias Piece = (name: String, from: [String])

    /// Writes `flux1-dev.safetensors`, `ae.safetensors` and the configurations.
    func writeWeights(to folder: String) throws {
        let transformer = try SafetensorsSet(folder: "\(golden.model)/transformer")
        try write(
            transformerPieces(transformer).map { (prefix + $0.name, $0.from) },
            of: transformer,
            to: "\(folder)/flux1-dev.safetensors"
        )
        let autoencoder = try SafetensorsSet(folder: "\(golden.model)/vae")
        let pieces = autoencoder.names.map { (name: autoencoderName($0), from: [$0]) }
        try write(pieces, of: autoencoder, to: "\(folder)/ae.safetensors")
        for part in ["transformer", "vae"] {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(part)",
                withIntermediateDirectories: true
            )
            try FileManager.default.copyItem(
                atPath: "\(golden.model)/\(part)/config.json",
                toPath: "\(folder)/\(part)/config.json"
            )
        }
    }

    /// Puts other parts of the model beside the weights, those that it has.
    func link(_ parts: [String], into folder: String) throws {
        for part in parts where FileManager.default.fileExists(atPath: "\(golden.model)/\(part)") {
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/\(part)",
                withDestinationPath: "\(golden.model)/\(part)"
            )
        }
    }

    // MARK: - The transformer

    private func transformerPieces(_ set: SafetensorsSet) -> [Piece] {
        let names = Set(set.names)
        let ends: [(String, String)] = [
            ("img_in", "x_embedder"), ("txt_in", "context_embedder"),
            ("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"),
            ("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
            ("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
            ("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
            ("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"),
            ("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
            ("final_layer.linear", "proj_out"),
            ("final_layer.adaLN_modulation.1", "norm_out.linear"),
        ]
        var pieces = ends.flatMap { layer($0.0, [$0.1]) }
        func blocks(_ name: String) -> [Int] {
            (0..<100).filter { index in names.contains { $0.hasPrefix("\(name).\(index).") } }
        }
        for index in blocks("transformer_blocks") {
            let (to, from) = ("double_blocks.\(index)", "transformer_blocks.\(index)")
            pieces += stream("\(to).img", from, "norm1", "to_%", "to_out.0", "norm_%", "ff")
            pieces += stream(
                "\(to).txt",
                from,
                "norm1_context",
                "add_%_proj",
                "to_add_out",
                "norm_added_%",
                "ff_context"
            )
        }
        for index in blocks("single_transformer_blocks") {
            let (to, from) = ("single_blocks.\(index)", "single_transformer_blocks.\(index)")
            let inputs = ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]
            pieces += layer("\(to).modulation.lin", ["\(from).norm.linear"])
            pieces += layer("\(to).linear1", inputs.map { "\(from).\($0)" })
            pieces += layer("\(to).linear2", ["\(from).proj_out"])
            pieces += [
                ("\(to).norm.query_norm.scale", ["\(from).attn.norm_q.weight"]),
                ("\(to).norm.key_norm.scale", ["\(from).attn.norm_k.weight"]),
            ]
        }
        return pieces.filter { $0.from.allSatisfy(names.contains) }
    }

    private func layer(_ name: String, _ from: [String]) -> [Piece] {
        ["weight", "bias"].map { kind in ("\(name).\(kind)", from.map { "\($0).\(kind)" }) }
    }

    private func stream(
        _ to: String,
        _ from: String,
        _ norm: String,
        _ projection: String,
        _ out: String,
        _ scale: String,
        _ feedForward: String
    ) -> [Piece] {
        func named(_ pattern: String, _ letter: String) -> String {
            "\(from).attn.\(pattern.replacing("%", with: letter))"
        }
        return layer("\(to)_mod.lin", ["\(from).\(norm).linear"])
            + layer("\(to)_attn.qkv", ["q", "k", "v"].map { named(projection, $0) })
            + layer("\(to)_attn.proj", ["\(from).attn.\(out)"])
            + layer("\(to)_mlp.0", ["\(from).\(feedForward).net.0.proj"])
            + layer("\(to)_mlp.2", ["\(from).\(feedForward).net.2"])
            + [
                ("\(to)_attn.norm.query_norm.scale", ["\(named(scale, "q")).weight"]),
                ("\(to)_attn.norm.key_norm.scale", ["\(named(scale, "k")).weight"]),
            ]
    }

    // MARK: - The autoencoder

    private func autoencoderName(_ name: String) -> String {
        var name = name
        for (from, to) in [
            ("conv_norm_out", "norm_out"), ("conv_shortcut", "nin_shortcut"),
            ("downsamplers.0.conv", "downsample.conv"), ("upsamplers.0.conv", "upsample.conv"),
            ("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"),
            ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
            ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
            ("mid_block.attentions.0.to_", "mid.attn_1."), ("resnets", "block"),
        ] {
            name.replace(from, with: to)
        }
        for level in 0..<4 {
            name.replace("down_blocks.\(level).", with: "down.\(level).")
            name.replace("up_blocks.\(level).", with: "up.\(3 - level).")
        }
        return name
    }

    // MARK: - Writing

    private func write(_ pieces: [Piece], of set: SafetensorsSet, to path: String) throws {
        var tensors: [SafetensorsWriter.Tensor] = []
        for (name, from) in pieces {
            let shapes = from.compactMap { set.shape(of: $0) }
            var shape = shapes[0]
            shape[0] = shapes.reduce(0) { $0 + $1[0] }
            // the projections of the middle attention are 1×1 convolutions
            if name.contains("mid.attn_1"), shape.count == 2 { shape += [1, 1] }
            let type = try set.requiredFile(from[0]).entries[from[0]]?.type ?? .float32
            tensors.append(SafetensorsWriter.Tensor(name: name, type: type, shape: shape))
        }
        let writer = try SafetensorsWriter(path: path, tensors: tensors)
        for (name, from) in pieces {
            var bytes: [UInt8] = []
            for tensor in from {
                try set.requiredFile(tensor).forEachPiece(of: tensor) { bytes += $0 }
            }
            if name.contains("adaLN_modulation") {
                // shift and scale stand the other way round
                bytes = Array(bytes[(bytes.count / 2)...] + bytes[..<(bytes.count / 2)])
            }
            try bytes.withUnsafeBytes { try writer.write($0) }
        }
        try writer.finish()
    }
}
