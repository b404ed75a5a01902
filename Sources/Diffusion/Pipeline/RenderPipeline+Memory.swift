import Networks
import Tensors

extension RenderPipeline {
    /// Checks that there is memory for what a part's weights become.
    ///
    /// - Throws: `RenderError.outOfMemory`, instead of being ended by the system halfway.
    func requireMemory<Configuration>(
        for part: ModelPart<Configuration>,
        in precision: Precision,
        named name: String
    ) throws(RenderError) {
        // packed weights are mapped: the system brings them in and drops them as it can
        let isMapped = part.source is PackedPartSource && shard.isWhole
        let bytes =
            part.parameters.count * MemoryLayout<Float>.stride / precision.valuesPerWord
            / shard.size
        try requireMemory(isMapped ? 0 : bytes, for: name)
    }

    /// Checks that there is memory for a picture's tokens and for decoding it.
    ///
    /// It is the least that is needed, so that nothing is refused that would have fitted.
    func requireMemory(for request: RenderRequest, tokens: Int) throws(RenderError) {
        let hidden = model.transformer.configuration.hidden
        let finest = model.autoencoder.configuration.blockOutChannels.first ?? 0
        // the stream, a single block's keys, values, queries and feed-forward, and its result
        let transformer = tokens * 9 * hidden * MemoryLayout<Float>.stride
        // what the first block and the others added, of each branch
        let branches = request.usesTrueCFG ? 2 : 1
        let cached = request.stepCache > 0 ? 2 * branches : 0
        let cache = cached * tokens * hidden * MemoryLayout<Float>.stride
        // the vectors that modulate the blocks
        let blocks = model.transformer.configuration
        let vectors = (12 * blocks.numLayers + 3 * blocks.numSingleLayers) * hidden
        let steps = min(request.steps, DenoisingBranch.windowSteps)
        let modulation = branches * steps * vectors * MemoryLayout<Float>.stride
        // what a block of the finest level reads and what it writes
        let decoder = 2 * finest * request.width * request.height * MemoryLayout<Float>.stride
        try requireMemory(
            max(0, transformer - compute.scratchBytes) + cache + modulation + decoder,
            for: "a picture of \(request.width)x\(request.height) pixels with \(tokens) tokens"
        )
    }

    private func requireMemory(_ needed: Int, for what: String) throws(RenderError) {
        guard let available = availableMemory(), needed > available else { return }
        throw .outOfMemory(what: what, needed: needed, available: available)
    }
}
