extension FluxConfiguration {
    /// The sizes of FLUX.1-dev.
    package static let dev = FluxConfiguration(
        inChannels: 64,
        numLayers: 19,
        numSingleLayers: 38,
        attentionHeadDim: 128,
        numAttentionHeads: 24,
        jointAttentionDim: 4096,
        pooledProjectionDim: 768,
        guidanceEmbeds: true,
        axesDimsRope: [16, 56, 56]
    )
}

extension T5Configuration {
    /// The sizes of T5-XXL's encoder, as FLUX.1 uses it.
    package static let xxl = T5Configuration(
        vocabSize: 32128,
        dModel: 4096,
        dKV: 64,
        dFF: 10240,
        numLayers: 24,
        numHeads: 64,
        relativeAttentionNumBuckets: 32,
        relativeAttentionMaxDistance: 128,
        layerNormEpsilon: 1e-6
    )
}

extension CLIPConfiguration {
    /// The sizes of CLIP-L's text encoder, as FLUX.1 uses it.
    package static let large = CLIPConfiguration(
        vocabSize: 49408,
        hiddenSize: 768,
        intermediateSize: 3072,
        numHiddenLayers: 12,
        numAttentionHeads: 12,
        maxPositionEmbeddings: 77,
        layerNormEps: 1e-5
    )
}

extension AutoencoderConfiguration {
    /// The sizes of FLUX.1's autoencoder.
    package static let flux = AutoencoderConfiguration(
        inChannels: 3,
        outChannels: 3,
        latentChannels: 16,
        blockOutChannels: [128, 256, 512, 512],
        layersPerBlock: 2,
        normNumGroups: 32,
        scalingFactor: 0.3611,
        shiftFactor: 0.1159
    )
}
