import FoundationEssentials
import Glibc
import Networks
package import Tensors

/// Writes a model with its transformer and T5 packed, to be mapped instead of read.
package struct ModelPacking: Sendable {
    private let precision: Precision
    private let threads: Int
    /// Receives a line when something long begins.
    private let log: @Sendable (String) -> Void

    package init(
        _ precision: Precision,
        threads: Int,
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.precision = precision
        self.threads = threads
        self.log = log
    }

    /// Packs a model with DreamO's adapters in its weights.
    ///
    /// - Parameters:
    ///   - model: The model.
    ///   - digest: Its digest.
    ///   - selection: DreamO's adapters; users' own stay beside the weights at all times.
    ///   - path: The directory to make.
    ///   - check: Called before each file; what it throws ends the work.
    /// - Throws: An error for what is missing or does not fit; nothing is left behind then.
    package func write(
        _ model: ModelDirectory,
        digest: ModelDigest,
        selection: AdapterSelection,
        to path: String,
        check: @escaping () throws -> Void = {}
    ) throws {
        guard model.packed == nil else {
            throw ModelError.packed(
                path: model.path,
                problem: "its weights are packed already",
                remedy: "pack the model that it was made from"
            )
        }
        let adapters = try AdapterSet(
            folder: model.adaptersFolder,
            selection: selection,
            configuration: model.transformer.configuration
        )
        let packed = PackedModel(
            precision: precision,
            digest: digest.record,
            adapters: try adapters.listing()
        )
        try NewDirectory.make(path, check: check) { folder in
            try takePlainParts(of: model, folder)
            let source = adapters.adapting(model.transformer.source, threads: threads)
            try pack(
                transformer: source,
                model.transformer.configuration,
                t5: model.textEncoder2.source,
                model.textEncoder2.configuration,
                packed,
                folder
            )
            try source.requireAllUsed()
        }
    }

    /// Packs a transformer and T5 from their sources.
    func pack(
        transformer: any ParameterSource,
        _ flux: FluxConfiguration,
        t5: any ParameterSource,
        _ t5Configuration: T5Configuration,
        _ packed: PackedModel,
        _ folder: NewDirectory
    ) throws {
        try folder.write(
            Array(ConfigurationText.t5(t5Configuration).utf8),
            to: "text_encoder_2/config.json"
        )
        log("packing T5 in \(precision)")
        let t5Store = try PackedStoreWriter(
            path: try folder.prepare("text_encoder_2/model.safetensors"),
            base: t5
        )
        _ = try T5Encoder(
            t5Configuration,
            from: LayerReader(saving: t5Store, precision: precision, threads: threads)
        )
        try t5Store.finish(metadata: [:])

        try folder.write(
            Array(ConfigurationText.transformer(flux).utf8),
            to: "transformer/config.json"
        )
        log("packing the transformer in \(precision)")
        let store = try PackedStoreWriter(
            path: try folder.prepare("transformer/diffusion_pytorch_model.safetensors"),
            base: transformer
        )
        _ = try FluxTransformer(
            flux,
            from: LayerReader(saving: store, precision: precision, threads: threads)
        )
        try store.finish(metadata: packed.metadata)
    }

    /// Takes over everything that is not packed, as links where the file system allows it.
    private func takePlainParts(of model: ModelDirectory, _ folder: NewDirectory) throws {
        func takeAll(of source: String, as name: String) throws {
            let names = try FileManager.default.contentsOfDirectory(atPath: source)
            for file in names.sorted() {
                var isFolder = false
                let path = "\(source)/\(file)"
                _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
                if isFolder {
                    try takeAll(of: path, as: "\(name)/\(file)")
                } else {
                    try folder.take(path, as: "\(name)/\(file)")
                }
            }
        }
        if let file = model.textEncoder.configurationFile, let slash = file.lastIndex(of: "/") {
            try takeAll(of: String(file[..<slash]), as: "text_encoder")
        }
        try takeAll(of: model.tokenizerFolder, as: "tokenizer")
        try takeAll(of: model.tokenizer2Folder, as: "tokenizer_2")
        if let adapters = model.adaptersFolder { try takeAll(of: adapters, as: "dreamo") }
        let autoencoder = model.autoencoder.set.files
        if autoencoder.count == 1 {
            try folder.take(autoencoder[0].path, as: "vae/diffusion_pytorch_model.safetensors")
        } else {
            try takeAll(of: model.autoencoder.set.location, as: "vae")
        }
        let texts = [
            ("vae/config.json", ConfigurationText.autoencoder(model.autoencoder.configuration)),
            ("scheduler/scheduler_config.json", ConfigurationText.scheduler(model.scheduler)),
            ("model_index.json", ConfigurationText.modelIndex),
        ]
        for (name, text) in texts where access("\(folder.temporaryPath)/\(name)", F_OK) != 0 {
            try folder.write(Array(text.utf8), to: name)
        }
    }
}
