import Networks
import Tensors

extension RenderPipeline {
    /// Checks that there is memory for what a part's weights become.
    ///
    /// - Throws: `RenderError.outOfMemory`, instead of being ended by the system halfway.
    func requireMemory<Configuration>(
        for part: ModelPart<Configuration>,
        in precision: Precision,
        named name: String,
        isSplit: Bool
    ) throws(RenderError) {
        // packed weights are mapped: the system brings them in and drops them as it can
        let isMapped = part.source is PackedPartSource && (shard.isWhole || !isSplit)
        let bytes =
            Self.bytes(part.parameters.count, precision) / (isSplit ? shard.size : 1)
        try requireMemory(isMapped ? 0 : bytes, for: name)
    }

    /// The bytes that a model takes: weights that a group's members share between them, weights that
    /// the first of them holds whole, and what a picture of the standard size takes beside them.
    package var memoryEstimate: (split: Int, whole: Int, working: Int) {
        func bytes(_ parameters: [ModelParameter], _ precision: Precision) -> Int {
            Self.bytes(parameters.reduce(0) { $0 + $1.count }, precision)
        }
        let flux = model.transformer.parameters.list
        let t5 = model.textEncoder2.parameters.list
        func isSplit(_ parameter: ModelParameter) -> Bool {
            parameter.name.hasPrefix("transformer_blocks.")
                || parameter.name.hasPrefix("single_transformer_blocks.")
        }
        let text = bytes(t5.filter { $0.name.hasPrefix("encoder.block.") }, precision.operand)
        let splitsText = T5Stack.splits(model.textEncoder2.configuration, over: 2)
        let split = bytes(flux.filter(isSplit), precision) + (splitsText ? text : 0)
        let whole =
            (splitsText ? 0 : text) + bytes(flux.filter { !isSplit($0) }, precision.floating)
            + bytes(t5.filter { !$0.name.hasPrefix("encoder.block.") }, precision.floating)
            + bytes(model.textEncoder.parameters.list, precision.floating)
            + bytes(model.autoencoder.parameters.list, precision.floating)
        let defaults = defaults
        let tokens =
            512 + grid(width: defaults.width, height: defaults.height).count
            + 2 * grid(width: defaults.refRes, height: defaults.refRes).count
        let working =
            blockBytes(tokens: tokens)
            + decoderBytes(width: defaults.width, height: defaults.height)
        return (split, whole, working)
    }

    /// Bytes of weights that are packed in a precision.
    private static func bytes(_ count: Int, _ precision: Precision) -> Int {
        count * MemoryLayout<Float>.stride / precision.valuesPerWord
    }

    /// The stream, a single block's keys, values, queries and feed-forward, and its result.
    private func blockBytes(tokens: Int) -> Int {
        tokens * 9 * model.transformer.configuration.hidden * MemoryLayout<Float>.stride
    }

    /// What a block of the finest level of the decoder reads and what it writes.
    private func decoderBytes(width: Int, height: Int) -> Int {
        let finest = model.autoencoder.configuration.blockOutChannels.first ?? 0
        return 2 * finest * width * height * MemoryLayout<Float>.stride
    }

    /// Checks that there is memory for a picture's tokens and for decoding it.
    ///
    /// It is the least that is needed, so that nothing is refused that would have fitted.
    func requireMemory(for request: RenderRequest, tokens: Int) throws(RenderError) {
        let hidden = model.transformer.configuration.hidden
        let transformer = blockBytes(tokens: tokens)
        // what the first block and the others added, of each branch
        let branches = request.usesTrueCFG ? 2 : 1
        let cached = request.stepCache > 0 ? 2 * branches : 0
        let cache = cached * tokens * hidden * MemoryLayout<Float>.stride
        // the vectors that modulate the blocks
        let blocks = model.transformer.configuration
        let vectors = (12 * blocks.numLayers + 3 * blocks.numSingleLayers) * hidden
        let steps = min(request.steps, DenoisingBranch.windowSteps)
        let modulation = branches * steps * vectors * MemoryLayout<Float>.stride
        let decoder = decoderBytes(width: request.width, height: request.height)
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
