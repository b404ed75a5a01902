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

    /// Describes the model.
    ///
    /// - Parameters:
    ///   - geometry: The sizes of its networks.
    ///   - seed: The seed of its weights.
    ///   - layout: How transformer and autoencoder are stored.
    ///   - type: `float32` or `bfloat16`.
    package init(
        geometry: ModelGeometry,
        seed: UInt64,
        layout: ModelDirectory.Layout,
        type: SafetensorsType
    ) {
        self.geometry = geometry
        self.seed = seed
        self.layout = layout
        self.type = type
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
            try write(ModelParameters(geometry.textEncoder2), folder, "text_encoder_2/model")
            let flux = ModelParameters(geometry.transformer)
            let vae = ModelParameters(geometry.autoencoder)
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
                noise.fill(&values, count: count, from: start)
                try values.withUnsafeBufferPointer { buffer in
                    try writer.write(UnsafeBufferPointer(rebasing: buffer[..<count]), as: type)
                }
            }
        }
        try writer.finish()
    }
}

/// The random values of one tensor, with a spread that makes every path of a network matter.
private struct TensorNoise {
    private let key: UInt64
    private let mean: Float
    private let spread: Float

    init(name: String, shape: [Int], seed: UInt64) {
        // FNV-1a over the name, mixed with the seed.
        let hash = name.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        key = Self.mix(hash ^ Self.mix(seed))
        let isScale = shape.count == 1 && name.contains("norm") && name.hasSuffix("weight")
        mean = isScale ? 1 : 0
        if shape.count > 1 {
            spread = 0.7 / Float(shape.dropFirst().reduce(1, *)).squareRoot()
        } else {
            spread = isScale ? 0.1 : 0.05
        }
    }

    /// Values that are nearly normal: sums of four uniforms of 16 bits.
    func fill(_ values: inout [Float], count: Int, from first: Int) {
        let scale = spread * 1.732_050_8 / 65536
        values.withUnsafeMutableBufferPointer { values in
            for index in 0..<count {
                let counter = UInt64(truncatingIfNeeded: first + index)
                let bits = Self.mix(key &+ counter &* 0x9e37_79b9_7f4a_7c15)
                let sum =
                    Int32(bits & 0xFFFF) + Int32(bits >> 16 & 0xFFFF)
                    + Int32(bits >> 32 & 0xFFFF) + Int32(bits >> 48)
                values[index] = mean + Float(sum - 131_070) * scale
            }
        }
    }

    /// The finaliser of SplitMix64.
    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
