import Diffusion
import FarmModel
import Networks
import Tensors

extension RendererModel {
    /// What the farm is told of an engine's model.
    init(named name: String, _ pipeline: RenderPipeline) {
        let defaults = pipeline.defaults
        self.init(
            name: name,
            digest: pipeline.digest.description,
            precision: pipeline.precision.rawValue,
            defaults: FarmModel.ModelDefaults(
                width: defaults.width,
                height: defaults.height,
                refRes: defaults.refRes,
                steps: defaults.steps,
                guidance: Double("\(defaults.guidance)") ?? Double(defaults.guidance)
            ),
            numericClass: "\(pipeline.numericClass)",
            costs: CostConstants(ModelSizes(pipeline))
        )
    }
}

extension ModelMemory {
    /// What a pipeline's model takes.
    init(_ pipeline: RenderPipeline) {
        let memory = pipeline.memoryEstimate
        self.init(
            sharded: Int64(memory.split),
            replicated: Int64(memory.whole),
            working: Int64(memory.working),
            mostRanks: pipeline.model.transformer.configuration.numAttentionHeads
        )
    }
}

extension ModelSizes {
    /// The sizes of a model's networks.
    fileprivate init(_ pipeline: RenderPipeline) {
        let model = pipeline.model
        let transformer = model.transformer.configuration
        let t5 = model.textEncoder2.configuration
        let autoencoder = model.autoencoder.configuration
        self.init(
            blocks: BlockSizes(
                doubleBlocks: transformer.numLayers,
                singleBlocks: transformer.numSingleLayers,
                hidden: transformer.hidden,
                mlp: transformer.mlp
            ),
            t5: T5Sizes(
                layers: t5.numLayers,
                model: t5.dModel,
                inner: t5.inner,
                feedForward: t5.dFF
            ),
            autoencoderChannels: autoencoder.blockOutChannels,
            autoencoderLayers: autoencoder.layersPerBlock,
            latentChannels: autoencoder.latentChannels,
            textTokens: pipeline.textTokens
        )
    }
}
