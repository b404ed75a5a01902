package import Networks

/// Every Linear of a FLUX transformer that an adapter may change, under all its names.
///
/// Names of the diffusers layout and of BFL's both lead to modules of the diffusers layout;
/// a fused matrix of BFL's leads to the row ranges of the modules it was split into.
package struct AdapterTargets: Sendable {
    /// Some rows of one module's weight, and which rows of an up matrix are added to them.
    struct Slice: Sendable, Equatable {
        /// The module's name in the diffusers layout.
        let module: String
        /// Rows of the module's weight.
        let targetRows: Range<Int>
        /// Rows of the up matrix; as many.
        let sourceRows: Range<Int>
    }

    /// What one name of a pair stands for.
    struct Target: Sendable, Equatable {
        /// Columns of the down matrix.
        let inFeatures: Int
        /// Rows of the up matrix.
        let outFeatures: Int
        /// Where the up matrix' rows go; together all of them.
        let slices: [Slice]
    }

    private var targets: [String: Target] = [:]

    /// Lists the modules of a transformer of those sizes.
    package init(configuration: FluxConfiguration) {
        addEmbedders(configuration)
        for index in 0..<configuration.numLayers {
            addDoubleBlock(index, configuration)
        }
        for index in 0..<configuration.numSingleLayers {
            addSingleBlock(index, configuration)
        }
    }

    /// The target that the stem of a pair's key names, or nil when no module has that name.
    ///
    /// DreamO's and XLabs' stems are known by block number and the words of the published
    /// converter; others by a module's name, with dots or underscores, behind any of the usual
    /// prefixes.
    func target(of stem: String) -> Target? {
        if let name = Self.processorName(stem) {
            return targets[name]
        }
        var rest = stem[...]
        while true {
            if let target = targets[Self.flat(rest)] {
                return target
            }
            guard let prefix = Self.prefixes.first(where: rest.hasPrefix) else { return nil }
            rest = rest.dropFirst(prefix.count)
        }
    }

    // MARK: - Names

    private static let prefixes = [
        "base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.",
        "lora_unet_", "lora_transformer_", "lycoris_",
    ]

    /// A name with underscores for dots, as kohya's trainer writes it.
    private static func flat(_ name: some StringProtocol) -> String {
        String(name.map { $0 == "." ? "_" : $0 })
    }

    /// Reads `double_blocks_N … qkv_lora1` and its kin, whatever stands between.
    private static func processorName(_ stem: String) -> String? {
        let isDouble = stem.contains("double_blocks")
        guard let index = blockNumber(stem, of: isDouble ? "double_blocks" : "single_blocks") else {
            return nil
        }
        let splits: [(part: String, image: String, text: String)] = [
            ("q_lora", "to_q", "add_q_proj"), ("k_lora", "to_k", "add_k_proj"),
            ("v_lora", "to_v", "add_v_proj"),
        ]
        guard isDouble else {
            if stem.contains("qkv_lora") { return "single_blocks_\(index)_qkv" }
            if stem.contains("proj_lora") { return "single_blocks_\(index)_linear2" }
            let split = splits.first {
                stem.contains("_" + $0.part) || stem.contains("." + $0.part)
            }
            return split.map { "single_transformer_blocks_\(index)_attn_\($0.image)" }
        }
        for (number, stream) in [("1", "img"), ("2", "txt")] {
            if stem.contains("qkv_lora\(number)") {
                return "double_blocks_\(index)_\(stream)_attn_qkv"
            }
            if stem.contains("proj_lora\(number)") {
                return "double_blocks_\(index)_\(stream)_attn_proj"
            }
            for split in splits where stem.contains(split.part + number) {
                let name = number == "1" ? split.image : split.text
                return "transformer_blocks_\(index)_attn_\(name)"
            }
        }
        return nil
    }

    private static func blockNumber(_ stem: String, of word: String) -> Int? {
        guard let range = stem.firstRange(of: word) else { return nil }
        let rest = stem[range.upperBound...]
        guard let separator = rest.first, separator == "_" || separator == "." else { return nil }
        return Int(rest.dropFirst().prefix { $0.isASCII && $0.isNumber })
    }

    // MARK: - Modules

    private mutating func add(
        _ module: String,
        _ outFeatures: Int,
        _ inFeatures: Int,
        alias: String?
    ) {
        let rows = 0..<outFeatures
        let slice = Slice(module: module, targetRows: rows, sourceRows: rows)
        let target = Target(inFeatures: inFeatures, outFeatures: outFeatures, slices: [slice])
        targets[Self.flat(module)] = target
        if let alias {
            targets[Self.flat(alias)] = target
        }
    }

    private mutating func addFused(_ name: String, _ modules: [String], inFeatures: Int) {
        var slices: [Slice] = []
        var row = 0
        for module in modules {
            let rows = targets[Self.flat(module)]?.outFeatures ?? 0
            slices.append(
                Slice(module: module, targetRows: 0..<rows, sourceRows: row..<row + rows)
            )
            row += rows
        }
        targets[Self.flat(name)] = Target(inFeatures: inFeatures, outFeatures: row, slices: slices)
    }

    private mutating func addEmbedders(_ c: FluxConfiguration) {
        let hidden = c.hidden
        add("x_embedder", hidden, c.inChannels, alias: "img_in")
        add("context_embedder", hidden, c.jointAttentionDim, alias: "txt_in")
        var embedders = [
            ("timestep_embedder", "time_in", 256),
            ("text_embedder", "vector_in", c.pooledProjectionDim),
        ]
        if c.guidanceEmbeds {
            embedders.append(("guidance_embedder", "guidance_in", 256))
        }
        for (name, alias, width) in embedders {
            let module = "time_text_embed.\(name)"
            add("\(module).linear_1", hidden, width, alias: "\(alias).in_layer")
            add("\(module).linear_2", hidden, hidden, alias: "\(alias).out_layer")
        }
        add("proj_out", c.inChannels, hidden, alias: "final_layer.linear")
        add("norm_out.linear", 2 * hidden, hidden, alias: nil)
        // BFL keeps shift before scale, diffusers scale before shift.
        let (first, second) = (0..<hidden, hidden..<2 * hidden)
        targets[Self.flat("final_layer.adaLN_modulation.1")] = Target(
            inFeatures: hidden,
            outFeatures: 2 * hidden,
            slices: [
                Slice(module: "norm_out.linear", targetRows: second, sourceRows: first),
                Slice(module: "norm_out.linear", targetRows: first, sourceRows: second),
            ]
        )
    }

    private mutating func addDoubleBlock(_ index: Int, _ c: FluxConfiguration) {
        let block = "transformer_blocks.\(index)"
        let original = "double_blocks.\(index)"
        let hidden = c.hidden
        let streams = [
            ("img", "norm1", "ff", "to_out.0", ["to_q", "to_k", "to_v"]),
            (
                "txt", "norm1_context", "ff_context", "to_add_out",
                ["add_q_proj", "add_k_proj", "add_v_proj"]
            ),
        ]
        for (stream, norm, ff, out, qkv) in streams {
            add(
                "\(block).\(norm).linear",
                6 * hidden,
                hidden,
                alias: "\(original).\(stream)_mod.lin"
            )
            add("\(block).attn.\(out)", hidden, hidden, alias: "\(original).\(stream)_attn.proj")
            add("\(block).\(ff).net.0.proj", c.mlp, hidden, alias: "\(original).\(stream)_mlp.0")
            add("\(block).\(ff).net.2", hidden, c.mlp, alias: "\(original).\(stream)_mlp.2")
            let modules = qkv.map { "\(block).attn.\($0)" }
            for module in modules {
                add(module, hidden, hidden, alias: nil)
            }
            addFused("\(original).\(stream)_attn.qkv", modules, inFeatures: hidden)
        }
    }

    private mutating func addSingleBlock(_ index: Int, _ c: FluxConfiguration) {
        let block = "single_transformer_blocks.\(index)"
        let original = "single_blocks.\(index)"
        let hidden = c.hidden
        let qkv = ["to_q", "to_k", "to_v"].map { "\(block).attn.\($0)" }
        for module in qkv {
            add(module, hidden, hidden, alias: nil)
        }
        add("\(block).proj_mlp", c.mlp, hidden, alias: nil)
        add("\(block).proj_out", hidden, hidden + c.mlp, alias: "\(original).linear2")
        add("\(block).norm.linear", 3 * hidden, hidden, alias: "\(original).modulation.lin")
        addFused("\(original).linear1", qkv + ["\(block).proj_mlp"], inFeatures: hidden)
        // DreamO's and XLabs' adapters change only the first three parts of `linear1`.
        addFused("\(original).qkv", qkv, inFeatures: hidden)
    }
}
