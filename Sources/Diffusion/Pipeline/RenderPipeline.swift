import FoundationEssentials
import Imaging
import Networks
package import Tensors

/// What a pipeline did since its start.
package struct RenderTally: Sendable, Equatable {
    /// Denoising steps that were computed.
    package var steps = 0
    /// Latents that were decoded, for pictures and previews.
    package var decodings = 0
}

/// A model made ready to render: DreamO's pipeline, stage by stage.
///
/// Parts are read when they are first needed and stay until `releaseEncoders` lets them go;
/// encoded prompts and references are kept in `artifacts` for the next picture. A pipeline renders
/// one picture at a time: who holds it takes care of that.
package final class RenderPipeline {
    package let model: ModelDirectory
    /// The model's digest, which goes into each picture's provenance.
    let modelDigest: ModelDigest
    /// The adapters in use: those of the model, then those of the last request.
    package internal(set) var adapters: AdapterSet
    /// What is said about them.
    package internal(set) var listing: [AdapterListing]
    /// The adapters of the model, which every request has.
    let ownAdapters: AdapterSet
    /// What is said about the adapters of the model.
    let ownListing: [AdapterListing]
    /// The last request's own adapters.
    var loras: [AdapterSelection.Lora] = []
    /// Receives a line when something long begins, and warnings.
    package var log: (String) -> Void = { _ in }

    /// How many bytes of memory are free, or nil where nobody says.
    var availableMemory: () -> Int? = { SystemMemory.available }

    let compute: Compute
    /// What the networks' products are computed in.
    package let precision: Precision
    /// The part of the model that is held here: of a group's leader the first.
    package let shard: Shard
    /// The group that computes with this pipeline, or nil alone.
    private(set) var lead: GroupLead?
    private let t5Tokenizer: T5Tokenizer
    private let clipTokenizer: CLIPTokenizer

    private var t5: T5Encoder?
    private var clip: CLIPTextEncoder?
    private var encoder: AutoencoderEncoder?
    private var decoder: AutoencoderDecoder?
    /// The transformer with `adapters` in its weights.
    var transformer: FluxTransformer?
    /// The transformer's layers, to which users' adapters are added.
    let branches = BranchTable()
    private var projection: LatentProjection?

    /// The conditions computed so far.
    package let artifacts = ArtifactCache()
    /// What the conditions of a picture are made from.
    package let conditionPlan: ConditionPlan
    /// Prompts whose cut end was told of.
    var toldPrompts: Set<ArtifactKey> = []
    /// What was done since the start.
    package internal(set) var tally = RenderTally()

    /// Opens what a model and its adapters consist of; weights are read later.
    ///
    /// - Parameters:
    ///   - model: The model.
    ///   - digest: The model's digest.
    ///   - selection: The adapters to use.
    ///   - precision: What the networks' products are computed in; nil for what the model is packed
    ///     in, else the fastest of this processor.
    ///   - ranks: How many members the group has that this pipeline leads; 1 alone.
    ///   - compute: Where to run.
    /// - Throws: `AdapterError`, `SafetensorsError`, `TokenizerError` or `ModelError` for files
    ///   that are missing, broken, or do not fit each other.
    package init(
        model: ModelDirectory,
        digest: ModelDigest,
        selection: AdapterSelection,
        precision: Precision? = .float32,
        ranks: Int = 1,
        compute: Compute
    ) throws {
        self.model = model
        shard = Shard(rank: 0, size: ranks)
        try model.transformer.configuration.check(ranks: ranks)
        modelDigest = digest
        let precision = precision ?? model.packed?.precision ?? .fastest
        self.precision = precision
        self.compute = compute
        ownAdapters = try AdapterSet(
            folder: model.adaptersFolder ?? "\(model.path)/dreamo",
            selection: selection,
            configuration: model.transformer.configuration
        )
        t5Tokenizer = try T5Tokenizer(
            directory: URL(filePath: model.tokenizer2Folder),
            hasPlaceholders: ownAdapters.embeddings != nil
        )
        clipTokenizer = try CLIPTokenizer(directory: URL(filePath: model.tokenizerFolder))
        ownListing = try ownAdapters.listing()
        try model.packed?.check(
            precision,
            adapters: ownListing.dropLast(ownAdapters.users.count),
            path: model.path
        )
        (adapters, listing) = (ownAdapters, ownListing)
        conditionPlan = ConditionPlan(
            t5Tokenizer: t5Tokenizer,
            clipTokenizer: clipTokenizer,
            digest: digest,
            numericClass: Self.numericClass(precision, compute, model, ranks: ranks),
            placeholders: adapters.embeddings?.placeholders
        )
        try checkVocabularies()
    }

    // MARK: - Group

    /// Computes with other members from now on, or with none; not while it renders.
    ///
    /// - Parameter channel: The connection, as rank 0; nil when it is over.
    /// - Throws: `AdapterError` for users' adapters that cannot be read any more.
    package func join(_ channel: (any GroupChannel)?) throws {
        precondition(channel.map { $0.size == shard.size && $0.rank == 0 } ?? true)
        lead = channel.map { GroupLead($0) }
        compute.reduction = channel
        if lead != nil, transformer != nil { try setBranches(of: adapters) }
    }

    /// Checks that every member of the group is there.
    ///
    /// - Throws: ``GroupError/broken(reason:)``.
    func checkGroup() throws {
        if let lead { return try lead.check() }
        guard shard.isWhole else {
            throw GroupError.broken(reason: "the group's members are not connected")
        }
    }

    /// Whether T5 is split over the members.
    private var splitsT5: Bool {
        !shard.isWhole && T5Stack.splits(model.textEncoder2.configuration, over: shard.size)
    }

    /// T5's features of a prompt, computed by all members where it is split.
    func features(_ t5: T5Encoder, _ ids: [Int]) throws -> Tensor {
        guard splitsT5 else { return t5(ids, in: compute) }
        let rows = t5.embedded(ids)
        try checkGroup()
        lead?.tell(.text(rows))
        t5.stack(rows, in: compute)
        try checkGroup()
        return t5.features(rows, in: compute)
    }

    /// The digest of the model with its own adapters: what the farm knows it by.
    package var digest: ModelDigest {
        digest(with: ownListing)
    }

    /// The digest of the model with some adapters.
    func digest(with listing: [AdapterListing]) -> ModelDigest {
        ModelDigest(
            base: modelDigest.description,
            adapters: listing.map { ($0.digest, $0.strength) }
        )
    }

    /// Reads every part now, so that no picture waits for one.
    package func loadAll() throws {
        _ = try loadTextEncoders()
        _ = try loadEncoder()
        _ = try loadDecoder()
        _ = try loadTransformer()
        _ = try loadProjection()
    }

    /// Lets the encoders of text and references go; what they made stays.
    package func releaseEncoders() {
        t5 = nil
        clip = nil
        encoder = nil
        compute.trimScratch()
    }

    /// The noise levels of a request.
    package func schedule(_ request: RenderRequest) -> Schedule {
        Schedule(
            steps: request.steps,
            outputTokens: outputGrid(request).count,
            configuration: model.scheduler
        )
    }

    // MARK: - Text

    /// How many tokens a prompt has where a picture does not say.
    package var textTokens: Int { t5Tokenizer.usualLength }

    /// How many ids T5's tokenizer knows.
    var t5VocabularySize: Int { t5Tokenizer.vocabularySize }

    private func checkVocabularies() throws(ModelError) {
        let placeholders = adapters.embeddings == nil ? 0 : T5Tokenizer.placeholders.count
        let pairs = [
            (
                model.tokenizer2Folder, t5Tokenizer.vocabularySize - placeholders,
                model.textEncoder2.configuration.vocabSize
            ),
            (
                model.tokenizerFolder, clipTokenizer.vocabularySize,
                model.textEncoder.configuration.vocabSize
            ),
        ]
        for (folder, ids, rows) in pairs where ids > rows {
            throw .contradiction(
                file: folder,
                problem: "the tokenizer has \(ids) ids, the encoder's table \(rows) rows"
            )
        }
        let positions = model.textEncoder.configuration.maxPositionEmbeddings
        guard clipTokenizer.modelMaxLength <= positions else {
            throw .contradiction(
                file: model.tokenizerFolder,
                problem: "model_max_length is \(clipTokenizer.modelMaxLength), the encoder has"
                    + " \(positions) positions"
            )
        }
    }

    /// The text encoders, read now if they are not there.
    func loadTextEncoders() throws -> (T5Encoder, CLIPTextEncoder) {
        if let t5, let clip { return (t5, clip) }
        try requireMemory(
            for: model.textEncoder2,
            in: precision.operand,
            named: "reading T5",
            isSplit: splitsT5
        )
        log("reading the text encoders")
        let rows = adapters.embeddings.map {
            Tensor(
                rows: DreamOEmbeddings.placeholderRows,
                columns: model.textEncoder2.configuration.dModel,
                values: $0.placeholders
            )
        }
        let t5 = try T5Encoder(
            model.textEncoder2.configuration,
            from: reader(model.textEncoder2.source, shard: splitsT5 ? shard : .whole),
            placeholders: rows,
            firstPlaceholder: t5Tokenizer.vocabularySize - (rows?.rows ?? 0)
        )
        let clip = try CLIPTextEncoder(
            model.textEncoder.configuration,
            from: reader(model.textEncoder.source).floating
        )
        self.t5 = t5
        self.clip = clip
        return (t5, clip)
    }

    // MARK: - Pictures

    /// The picture of output tokens: planes (3, width · height) in −1…1.
    func decode(_ tokens: Tensor, _ request: RenderRequest, trace: Trace? = nil) throws -> Tensor {
        let configuration = model.autoencoder.configuration
        let grid = outputGrid(request)
        let latent = Patches.unpack(tokens, grid: grid)
        for index in 0..<latent.elements.count {
            latent.elements[index] =
                latent.elements[index] / configuration.scalingFactor + configuration.shiftFactor
        }
        trace?("vae_in", latent)
        tally.decodings += 1
        let image = try loadDecoder().decode(
            latent: latent,
            height: 2 * grid.rows,
            width: 2 * grid.columns,
            in: compute
        )
        trace?("image", image)
        return image
    }

    func outputGrid(_ request: RenderRequest) -> TokenGrid {
        grid(width: request.width, height: request.height)
    }

    /// The tokens of a picture.
    func grid(width: Int, height: Int) -> TokenGrid {
        let side = 2 * model.autoencoder.configuration.spatialFactor
        return TokenGrid(rows: height / side, columns: width / side)
    }

    /// The encoder of references, read now if it is not there.
    func loadEncoder() throws -> AutoencoderEncoder {
        if let encoder { return encoder }
        let loaded = try AutoencoderEncoder(
            model.autoencoder.configuration,
            from: reader(model.autoencoder.source)
        )
        encoder = loaded
        return loaded
    }

    private func loadDecoder() throws -> AutoencoderDecoder {
        if let decoder { return decoder }
        let loaded = try AutoencoderDecoder(
            model.autoencoder.configuration,
            from: reader(model.autoencoder.source)
        )
        decoder = loaded
        return loaded
    }

    /// The colours of latents, fitted to the decoder now if they are not known.
    func loadProjection() throws -> LatentProjection {
        if let projection { return projection }
        let decoder = try loadDecoder()
        let loaded = LatentProjection(model.autoencoder.configuration) { latent, side in
            decoder.decode(latent: latent, height: side, width: side, in: compute)
        }
        projection = loaded
        return loaded
    }

    // MARK: - Transformer

    func loadTransformer() throws -> FluxTransformer {
        if let transformer { return transformer }
        try requireMemory(
            for: model.transformer,
            in: precision,
            named: "reading the transformer",
            isSplit: true
        )
        log("reading the transformer")
        let plain = model.transformer.source
        let adapted =
            model.packed == nil ? ownAdapters.adapting(plain, threads: compute.threads) : nil
        let loaded = try FluxTransformer(
            model.transformer.configuration,
            from: reader(adapted ?? plain, branches, shard: shard)
        )
        try adapted?.requireAllUsed()
        try setBranches(of: adapters)
        transformer = loaded
        return loaded
    }

    private func reader(
        _ source: any ParameterSource,
        _ branches: BranchTable? = nil,
        shard: Shard = .whole
    ) -> LayerReader {
        LayerReader(
            source,
            precision: precision,
            threads: compute.threads,
            branches: branches,
            shard: shard
        )
    }
}
