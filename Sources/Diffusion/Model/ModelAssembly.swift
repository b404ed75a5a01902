import FoundationEssentials
import Glibc
import Networks
import Tensors

/// Makes a model directory from the files that people have.
///
/// Weights are taken over as hard links where the file system allows it, else as copies.
/// Configurations are copied where they stand beside the weights, else read from the shapes.
package struct ModelAssembly: Sendable {
    /// The transformer: BFL's file, a diffusers file, or the folder of a diffusers transformer.
    package var transformer: String
    /// The autoencoder: `ae.safetensors`, a diffusers file, or the folder of a diffusers one.
    package var autoencoder: String
    /// `clip_l.safetensors`, or the folder of a text encoder.
    package var clip: String
    /// `t5xxl_fp16.safetensors`, or the folder of a text encoder.
    package var t5: String
    /// A folder with `tokenizer` and `tokenizer_2`.
    package var tokenizers: String
    /// A folder with DreamO's downloads, or nil for plain FLUX.
    package var dreamo: String?

    package init(
        transformer: String,
        autoencoder: String,
        clip: String,
        t5: String,
        tokenizers: String,
        dreamo: String? = nil
    ) {
        self.transformer = transformer
        self.autoencoder = autoencoder
        self.clip = clip
        self.t5 = t5
        self.tokenizers = tokenizers
        self.dreamo = dreamo
    }

    /// DreamO's published files, by their paths in a model's `dreamo` folder.
    package static let dreamoFiles = [
        "dreamo.safetensors", "dreamo_cfg_distill.safetensors", "flux_turbo.safetensors",
        "dreamo_quality_lora_pos.safetensors", "dreamo_quality_lora_neg.safetensors",
        "v1.1/dreamo_sft_lora.safetensors", "v1.1/dreamo_dpo_lora.safetensors",
        "defaults.json",
    ]

    /// Makes the directory, which must not exist yet, and opens it as a check.
    ///
    /// - Parameters:
    ///   - path: The directory to make.
    ///   - check: Called before each file; what it throws ends the work.
    /// - Returns: The finished model.
    /// - Throws: An error for what is missing or does not fit; nothing is left behind then.
    package func write(
        to path: String,
        check: @escaping () throws -> Void = {}
    ) throws -> ModelDirectory {
        try NewDirectory.make(path, check: check) { folder in
            try placeTransformer(folder)
            try placeAutoencoder(folder)
            let clipSet = try place(clip, folder, "text_encoder", "model.safetensors")
            try configure(folder, "text_encoder", clip) {
                ConfigurationText.clip(try ShapeInference(DiffusersSource(clipSet), clip).clip())
            }
            let t5Set = try place(t5, folder, "text_encoder_2", "model.safetensors")
            try configure(folder, "text_encoder_2", t5) {
                ConfigurationText.t5(try ShapeInference(DiffusersSource(t5Set), t5).t5())
            }
            try placeTokenizers(folder)
            try placeAdapters(folder)
            try folder.write(
                Array(ConfigurationText.modelIndex.utf8),
                to: "model_index.json"
            )
            _ = try ModelDirectory(path: folder.temporaryPath)
        }
        return try ModelDirectory(path: path)
    }

    private func placeTransformer(_ folder: NewDirectory) throws {
        let name = "diffusion_pytorch_model.safetensors"
        let opened = try open(transformer)
        let source: any ParameterSource
        var hasGuidance = opened.shape(of: Self.guidance) != nil
        if BFLTransformerSource.matches(opened) {
            let bfl = BFLTransformerSource(opened)
            hasGuidance = bfl.hasGuidance
            source = bfl
            let file = hasGuidance ? "flux1-dev.safetensors" : "flux1-schnell.safetensors"
            try folder.take(transformer, as: file)
        } else {
            source = DiffusersSource(opened)
            _ = try place(transformer, folder, "transformer", name)
        }
        try configure(folder, "transformer", transformer) {
            let inference = ShapeInference(source, transformer)
            return ConfigurationText.transformer(try inference.transformer(hasGuidance))
        }
        let schedule: SchedulerConfiguration = hasGuidance ? .dev : .schnell
        try folder.write(
            Array(ConfigurationText.scheduler(schedule).utf8),
            to: "scheduler/scheduler_config.json"
        )
    }

    private static let guidance = "time_text_embed.guidance_embedder.linear_1.weight"

    private func placeAutoencoder(_ folder: NewDirectory) throws {
        let opened = try open(autoencoder)
        let isBFL = BFLAutoencoderSource.matches(opened)
        if isBFL {
            try folder.take(autoencoder, as: "ae.safetensors")
        } else {
            let name = "diffusion_pytorch_model.safetensors"
            _ = try place(autoencoder, folder, "vae", name)
        }
        try configure(folder, "vae", autoencoder) {
            // Only the encoder's names are asked for, which do not depend on the count of levels.
            let source: any ParameterSource =
                isBFL ? BFLAutoencoderSource(opened, levels: 0) : DiffusersSource(opened)
            let inference = ShapeInference(source, autoencoder)
            return ConfigurationText.autoencoder(try inference.autoencoder())
        }
    }

    private func placeTokenizers(_ folder: NewDirectory) throws {
        let needed = [
            ("tokenizer", ["vocab.json", "merges.txt"], ["tokenizer_config.json"]),
            ("tokenizer_2", ["spiece.model"], ["tokenizer_config.json"]),
        ]
        for (part, required, optional) in needed {
            let source = "\(tokenizers)/\(part)"
            for file in required { try folder.take("\(source)/\(file)", as: "\(part)/\(file)") }
            for file in optional where access("\(source)/\(file)", R_OK) == 0 {
                try folder.take("\(source)/\(file)", as: "\(part)/\(file)")
            }
        }
    }

    private func placeAdapters(_ folder: NewDirectory) throws {
        guard let dreamo else { return }
        let found = Self.dreamoFiles.filter { access("\(dreamo)/\($0)", R_OK) == 0 }
        guard !found.isEmpty else {
            throw ModelError.missing(
                path: dreamo,
                what: "every file of DreamO (\(Self.dreamoFiles[0]), …)",
                remedy: "name the folder of the downloads"
            )
        }
        for file in found { try folder.take("\(dreamo)/\(file)", as: "dreamo/\(file)") }
    }

    private func open(_ path: String) throws -> SafetensorsSet {
        guard access(path, R_OK) == 0 else {
            throw ModelError.missing(path: path, what: "the file", remedy: "check the path")
        }
        return path.hasSuffix(".safetensors") || path.hasSuffix(".json")
            ? try SafetensorsSet(path: path)
            : try SafetensorsSet(folder: path)
    }

    /// Takes over a file, or all weight files of a folder, and returns the opened weights.
    private func place(
        _ path: String,
        _ folder: NewDirectory,
        _ part: String,
        _ name: String
    ) throws -> SafetensorsSet {
        let set = try open(path)
        guard !path.hasSuffix(".safetensors") else {
            try folder.take(path, as: "\(part)/\(name)")
            return set
        }
        let source = path.hasSuffix(".json") ? Self.folder(of: path) : path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: source)) ?? []
        for file in names where file.contains(".safetensors") {
            try folder.take("\(source)/\(file)", as: "\(part)/\(file)")
        }
        return set
    }

    private static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }

    /// Copies the `config.json` in the weights' folder, else writes one from the shapes.
    private func configure(
        _ folder: NewDirectory,
        _ part: String,
        _ path: String,
        _ inferred: () throws -> String
    ) throws {
        let isFile = path.hasSuffix(".safetensors") || path.hasSuffix(".json")
        let home = isFile ? Self.folder(of: path) : path
        let beside = ["\(home)/config.json", "\(home)/\(part)/config.json"]
        if let file = beside.first(where: { access($0, R_OK) == 0 }) {
            try folder.take(file, as: "\(part)/config.json")
        } else {
            try folder.write(Array(try inferred().utf8), to: "\(part)/config.json")
        }
    }
}
