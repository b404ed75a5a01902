import Glibc
package import Networks
package import Tensors

/// One network of a model: its sizes and its weights.
package struct ModelPart<Configuration: Sendable>: Sendable {
    /// The part's name in the diffusers layout, such as `transformer`.
    package let name: String
    package let configuration: Configuration
    /// The weights under diffusers names.
    package let source: any MappedSource
    /// The weights as they are stored.
    package let set: SafetensorsSet
    /// The tensors that the network reads.
    package let parameters: ModelParameters
    /// The configuration file, or nil when FLUX.1's constants stand in for it.
    package let configurationFile: String?
}

/// A FLUX model on disk with all its parts, opened and checked; no weight is read yet.
///
/// Two layouts are known: the diffusers directory, and BFL's single files (`flux1-dev.safetensors`
/// and `ae.safetensors`), whose encoders and tokenizers come from the same directory or from a
/// second one.
package struct ModelDirectory: Sendable {
    /// How the transformer's weights are stored.
    package enum Layout: String, Sendable {
        case diffusers, bfl
    }

    /// The directory.
    package let path: String
    package let layout: Layout
    package let transformer: ModelPart<FluxConfiguration>
    /// CLIP.
    package let textEncoder: ModelPart<CLIPConfiguration>
    /// T5.
    package let textEncoder2: ModelPart<T5Configuration>
    package let autoencoder: ModelPart<AutoencoderConfiguration>
    /// The folder of CLIP's `vocab.json` and `merges.txt`.
    package let tokenizerFolder: String
    /// The folder of T5's `spiece.model`.
    package let tokenizer2Folder: String
    package let scheduler: SchedulerConfiguration
    /// The schedule's file, or nil when FLUX.1's constants stand in for it.
    package let schedulerFile: String?
    /// What `dreamo/defaults.json` says, if it is there.
    package let defaults: ModelDefaults?
    /// DreamO's folder of adapters, if there is one.
    package let adaptersFolder: String?
    /// What the packed weights say of themselves, or nil where the weights are plain.
    package let packed: PackedModel?

    /// Opens a model and checks every shape against its configuration.
    ///
    /// - Parameters:
    ///   - path: The directory, or one transformer file in it.
    ///   - parts: A directory for the parts that the first one lacks.
    /// - Throws: `ModelError` or `SafetensorsError` for what is missing or contradicts itself.
    package init(path: String, parts: String? = nil) throws {
        let places = try ModelPlaces(path: path, parts: parts)
        self.path = places.root
        layout = places.transformerLayout
        transformer = try Self.transformer(places)
        packed = try PackedModel(transformer.set.files[0])
        autoencoder = try Self.autoencoder(places)

        let clip = try places.folder("text_encoder", "the CLIP text encoder")
        textEncoder = try ModelPart.encoder("text_encoder", clip, ModelParameters.init)
        let t5 = try places.folder("text_encoder_2", "the T5 text encoder")
        textEncoder2 = try ModelPart.encoder("text_encoder_2", t5, ModelParameters.init)

        tokenizerFolder = try places.folder("tokenizer", "CLIP's tokenizer")
        tokenizer2Folder = try places.folder("tokenizer_2", "T5's tokenizer")
        try Self.checkTokenizer(
            tokenizerFolder,
            files: ["vocab.json", "merges.txt"],
            classes: ["CLIPTokenizer", "CLIPTokenizerFast"]
        )
        try Self.checkTokenizer(
            tokenizer2Folder,
            files: ["spiece.model"],
            classes: ["T5Tokenizer", "T5TokenizerFast"]
        )

        schedulerFile = places.find("scheduler/scheduler_config.json")
        if let schedulerFile {
            scheduler = try ConfigurationFile(path: schedulerFile).decode(
                SchedulerConfiguration.self
            )
            try scheduler.check(file: schedulerFile)
        } else if layout == .bfl {
            scheduler = transformer.configuration.guidanceEmbeds ? .dev : .schnell
        } else {
            throw ModelError.missing(
                path: "\(places.root)/scheduler/scheduler_config.json",
                what: "the schedule",
                remedy: "take it from the published model"
            )
        }
        adaptersFolder = places.find("dreamo")
        defaults = try places.find("dreamo/defaults.json")
            .map { try ConfigurationFile(path: $0).decode(ModelDefaults.self) }
        try checkTogether()
    }

    // MARK: - Parts

    private static func transformer(_ places: ModelPlaces) throws -> ModelPart<FluxConfiguration> {
        let set = try places.transformerSet()
        let bfl = BFLTransformerSource.matches(set) ? BFLTransformerSource(set) : nil
        let packed: (any MappedSource)? = try PackedPartSource(set)
        var configuration = FluxConfiguration.dev
        let file = places.beside("transformer/config.json")
        if let file {
            configuration = try ConfigurationFile(path: file)
                .decode(FluxConfiguration.self, defaults: ["axes_dims_rope": "[16,56,56]"])
        } else if let bfl {
            configuration.guidanceEmbeds = bfl.hasGuidance
        } else {
            throw ModelError.missing(
                path: "\(places.root)/transformer/config.json",
                what: "the configuration",
                remedy: "take it from the published model"
            )
        }
        try configuration.check(file: file ?? set.location)
        let prefixes = ["", BFLTransformerSource.checkpointPrefix, "transformer."]
        let prefix = prefixes.first { set.shape(of: $0 + "x_embedder.weight") != nil }
        return try ModelPart(
            name: "transformer",
            configuration: configuration,
            source: packed ?? bfl ?? DiffusersSource(set, prefix: prefix ?? ""),
            set: set,
            parameters: ModelParameters(configuration),
            configurationFile: file
        ).checked()
    }

    private static func autoencoder(
        _ places: ModelPlaces
    ) throws -> ModelPart<AutoencoderConfiguration> {
        let set = try places.autoencoderSet()
        let isBFL = BFLAutoencoderSource.matches(set)
        let file = places.find("vae/config.json")
        guard isBFL || file != nil else {
            throw ModelError.missing(
                path: "\(places.root)/vae/config.json",
                what: "the configuration",
                remedy: "take it from the published model"
            )
        }
        let configuration =
            try file.map {
                try ConfigurationFile(path: $0).decode(AutoencoderConfiguration.self)
            } ?? .flux
        try configuration.check(file: file ?? set.location)
        let levels = configuration.blockOutChannels.count
        return try ModelPart(
            name: "vae",
            configuration: configuration,
            source: isBFL
                ? BFLAutoencoderSource(set, levels: levels) as any MappedSource
                : DiffusersSource(set),
            set: set,
            parameters: ModelParameters(configuration),
            configurationFile: file
        ).checked()
    }

    private static func checkTokenizer(
        _ folder: String,
        files: [String],
        classes: [String]
    ) throws(ModelError) {
        for file in files where access("\(folder)/\(file)", R_OK) != 0 {
            guard errno == ENOENT else {
                throw .unreadable(
                    path: "\(folder)/\(file)",
                    reason: String(cString: strerror(errno))
                )
            }
            throw .missing(
                path: "\(folder)/\(file)",
                what: "the tokenizer's file",
                remedy: "take it from the published model"
            )
        }
        struct TokenizerConfiguration: Decodable {
            var tokenizer_class: String?
        }
        let file = "\(folder)/tokenizer_config.json"
        guard access(file, F_OK) == 0 else { return }
        let name = try ConfigurationFile(path: file).decode(TokenizerConfiguration.self)
            .tokenizer_class
        if let name, !classes.contains(name) {
            throw .configuration(
                file: file,
                problem: "has the tokenizer_class '\(name)', known here are "
                    + classes.joined(separator: " and ")
            )
        }
    }

    private func checkTogether() throws(ModelError) {
        let flux = transformer.configuration
        let vae = autoencoder.configuration
        let pairs = [
            (
                "joint_attention_dim", flux.jointAttentionDim, "text_encoder_2's d_model",
                textEncoder2.configuration.dModel
            ),
            (
                "pooled_projection_dim", flux.pooledProjectionDim, "text_encoder's hidden_size",
                textEncoder.configuration.hiddenSize
            ),
            ("in_channels", flux.inChannels, "4 × vae's latent_channels", 4 * vae.latentChannels),
        ]
        for (key, value, other, otherValue) in pairs where value != otherValue {
            throw .contradiction(
                file: transformer.configurationFile ?? transformer.set.location,
                problem: "\(key) is \(value), \(other) is \(otherValue)"
            )
        }
    }
}

extension ModelPart where Configuration: CheckedConfiguration {
    /// The part, after a look at the name and shape of each of its tensors.
    func checked() throws -> Self {
        for (key, tensor) in configuration.excess where source.shape(of: tensor) != nil {
            throw ModelError.configuration(
                file: configurationFile ?? set.location,
                problem: "has a \(key) that leaves out blocks of the weights (\(tensor))"
            )
        }
        for parameter in parameters.list {
            guard let held = source.shape(of: parameter.name) else {
                throw SafetensorsError.missing(file: set.location, tensor: parameter.name)
            }
            guard held == parameter.shape else {
                throw SafetensorsError.shape(
                    file: set.file(of: parameter.name)?.path ?? set.location,
                    tensor: parameter.name,
                    holds: held,
                    wanted: parameter.shape
                )
            }
        }
        return self
    }

    /// Opens a text encoder's folder.
    fileprivate static func encoder(
        _ name: String,
        _ folder: String,
        _ parameters: (Configuration) -> ModelParameters
    ) throws -> Self {
        let file = "\(folder)/config.json"
        let configuration = try ConfigurationFile(path: file)
            .decode(Configuration.self, defaults: Configuration.defaults)
        try configuration.check(file: file)
        let set = try SafetensorsSet(folder: folder)
        let packed: (any MappedSource)? = try PackedPartSource(set)
        return try ModelPart(
            name: name,
            configuration: configuration,
            source: packed ?? DiffusersSource(set),
            set: set,
            parameters: parameters(configuration),
            configurationFile: file
        ).checked()
    }
}
