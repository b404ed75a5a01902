package import Networks

/// The sizes of all networks of a model.
package struct ModelGeometry: Sendable, Equatable {
    package var transformer: FluxConfiguration
    package var textEncoder: CLIPConfiguration
    package var textEncoder2: T5Configuration
    package var autoencoder: AutoencoderConfiguration

    /// The geometries that have a name.
    package static let named: [(name: String, geometry: ModelGeometry)] = [
        ("tiny", .tiny), ("flux-dev", .fluxDev), ("flux-schnell", .fluxSchnell),
        ("flux-block", .fluxBlock),
    ]

    /// FLUX.1-dev.
    package static let fluxDev = ModelGeometry(
        transformer: .dev,
        textEncoder: .large,
        textEncoder2: .xxl,
        autoencoder: .flux
    )

    /// FLUX.1-schnell: dev without the guidance embedding.
    package static var fluxSchnell: ModelGeometry {
        var geometry = fluxDev
        geometry.transformer.guidanceEmbeds = false
        return geometry
    }

    /// One double and one single block of FLUX's width, with small encoders and autoencoder.
    package static var fluxBlock: ModelGeometry {
        var geometry = fluxDev
        geometry.transformer.numLayers = 1
        geometry.transformer.numSingleLayers = 1
        geometry.textEncoder.intermediateSize = 768
        geometry.textEncoder.numHiddenLayers = 1
        geometry.textEncoder.vocabSize = RandomTokenizers.clipVocabulary.count
        geometry.textEncoder2.dFF = 256
        geometry.textEncoder2.numLayers = 1
        geometry.textEncoder2.numHeads = 4
        geometry.textEncoder2.vocabSize = RandomTokenizers.t5EmbeddingRows
        geometry.autoencoder.blockOutChannels = [32, 32, 64, 64]
        return geometry
    }

    /// A model that loads and renders in a moment.
    package static var tiny: ModelGeometry {
        var geometry = fluxBlock
        geometry.transformer.numLayers = 2
        geometry.transformer.numSingleLayers = 3
        geometry.transformer.attentionHeadDim = 32
        geometry.transformer.numAttentionHeads = 4
        geometry.transformer.axesDimsRope = [8, 12, 12]
        geometry.transformer.jointAttentionDim = 48
        geometry.transformer.pooledProjectionDim = 32
        geometry.textEncoder.hiddenSize = 32
        geometry.textEncoder.intermediateSize = 128
        geometry.textEncoder.numHiddenLayers = 2
        geometry.textEncoder.numAttentionHeads = 4
        geometry.textEncoder2.dModel = 48
        geometry.textEncoder2.dKV = 12
        geometry.textEncoder2.dFF = 144
        geometry.textEncoder2.numLayers = 2
        return geometry
    }

    /// The noise schedule that goes with the transformer.
    var scheduler: SchedulerConfiguration {
        transformer.guidanceEmbeds ? .dev : .schnell
    }
}
