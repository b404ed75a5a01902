import Networks
package import Tensors

/// A model with random weights and small working tokenizers, written in a published layout.
///
/// Every value depends only on the seed, the tensor's diffusers name and the value's index, so
/// both layouts of one seed hold the same model.
package struct RandomModel: Sendable {
    private let geometry: ModelGeometry
    private let seed: UInt64
    private let layout: ModelDirectory.Layout
    private let type: SafetensorsType
    /// What transformer and T5 are packed in, or nil for plain weights.
    private let packing: Precision?

    /// Describes the model.
    ///
    /// - Parameters:
    ///   - geometry: The sizes of its networks.
    ///   - seed: The seed of its weights.
    ///   - layout: How transformer and autoencoder are stored.
    ///   - type: `float32` or `bfloat16`.
    ///   - packing: What transformer and T5 are packed in, in the diffusers layout; nil for plain
    ///     weights.
    package init(
        geometry: ModelGeometry,
        seed: UInt64,
        layout: ModelDirectory.Layout,
        type: SafetensorsType,
        packing: Precision? = nil
    ) {
        self.geometry = geometry
        self.seed = seed
        self.layout = layout
        self.type = type
        self.packing = packing
    }

    /// Writes the model's directory, which must not exist yet.
    ///
    /// The directory is made aside and takes its name at the end; a failure leaves nothing.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - check: Called again and again; what it throws ends the work.
    /// - Throws: `ModelError`, `SafetensorsError`, and what `check` throws.
    package func write(to path: String, check: @escaping () throws -> Void = {}) throws {
        try NewDirectory.make(path, check: check) { folder in
            try writeConfigurations(folder)
            let clip = RandomTokenizers.clip(length: geometry.textEncoder.maxPositionEmbeddings)
            for file in clip { try folder.write(file.bytes, to: "tokenizer/\(file.name)") }
            for file in RandomTokenizers.t5(length: 512) {
                try folder.write(file.bytes, to: "tokenizer_2/\(file.name)")
            }
            try write(ModelParameters(geometry.textEncoder), folder, "text_encoder/model")
            let flux = ModelParameters(geometry.transformer)
            let vae = ModelParameters(geometry.autoencoder)
            if let packing {
                try write(vae, folder, "vae/diffusion_pytorch_model")
                try writePacked(packing, folder)
                return
            }
            try write(ModelParameters(geometry.textEncoder2), folder, "text_encoder_2/model")
            switch layout {
            case .diffusers:
                try write(flux, folder, "transformer/diffusion_pytorch_model")
                try write(vae, folder, "vae/diffusion_pytorch_model")
            case .bfl:
                let name = geometry.transformer.guidanceEmbeds ? "flux1-dev" : "flux1-schnell"
                try write(BFLLayout.transformer(geometry.transformer), of: flux, folder, name)
                try write(BFLLayout.autoencoder(geometry.autoencoder), of: vae, folder, "ae")
            }
        }
    }

    private func writePacked(_ precision: Precision, _ folder: NewDirectory) throws {
        let noise = NoiseSource(seed: seed, type: type)
        let description = "random \(geometry.transformer) \(geometry.textEncoder2) \(seed) \(type)"
        let packing = ModelPacking(precision, threads: Compute.availableProcessors)
        try packing.pack(
            transformer: noise,
            geometry.transformer,
            t5: noise,
            geometry.textEncoder2,
            PackedModel(
                precision: precision,
                digest: ModelDigest(base: [description]).record,
                adapters: []
            ),
            folder
        )
    }

    private func writeConfigurations(_ folder: NewDirectory) throws {
        let texts = [
            ("transformer/config.json", ConfigurationText.transformer(geometry.transformer)),
            ("vae/config.json", ConfigurationText.autoencoder(geometry.autoencoder)),
            ("text_encoder/config.json", ConfigurationText.clip(geometry.textEncoder)),
            ("text_encoder_2/config.json", ConfigurationText.t5(geometry.textEncoder2)),
            (
                "scheduler/scheduler_config.json",
                ConfigurationText.scheduler(geometry.scheduler)
            ),
            ("model_index.json", ConfigurationText.modelIndex),
        ]
        for (name, text) in texts { try folder.write(Array(text.utf8), to: name) }
    }

    private func write(
        _ parameters: ModelParameters,
        _ folder: NewDirectory,
        _ name: String
    ) throws {
        let tensors = parameters.list.map {
            BFLLayout.Tensor(name: $0.name, shape: $0.shape, pieces: [($0.name, nil)])
        }
        try write(tensors, of: parameters, folder, name)
    }

    private func write(
        _ tensors: [BFLLayout.Tensor],
        of parameters: ModelParameters,
        _ folder: NewDirectory,
        _ name: String
    ) throws {
        let shapes = Dictionary(
            uniqueKeysWithValues: parameters.list.map { ($0.name, $0.shape) }
        )
        let path = try folder.prepare("\(name).safetensors")
        let writer = try SafetensorsWriter(
            path: path,
            tensors: tensors.map { .init(name: $0.name, type: type, shape: $0.shape) },
            metadata: ["format": "pt"]
        )
        var values = [Float](repeating: 0, count: 1 << 18)
        for piece in tensors.flatMap(\.pieces) {
            guard let shape = shapes[piece.name], let height = shape.first else { continue }
            let width = shape.dropFirst().reduce(1, *)
            let rows = piece.rows ?? 0..<height
            let noise = TensorNoise(name: piece.name, shape: shape, seed: seed)
            let end = rows.upperBound * width
            for start in stride(from: rows.lowerBound * width, to: end, by: values.count) {
                try folder.check()
                let count = min(values.count, end - start)
                values.withUnsafeMutableBufferPointer {
                    noise.fill(UnsafeMutableBufferPointer(rebasing: $0[..<count]), from: start)
                }
                try values.withUnsafeBufferPointer { buffer in
                    try writer.write(UnsafeBufferPointer(rebasing: buffer[..<count]), as: type)
                }
            }
        }
        try writer.finish()
    }
}
