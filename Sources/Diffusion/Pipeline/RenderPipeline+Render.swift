package import Imaging
import Networks
import Tensors

/// A finished picture.
package struct RenderedPicture: Sendable {
    package let image: PixelImage
    /// The picture as a PNG file, with what determines it in a text chunk.
    package let png: [UInt8]
    /// How many steps were computed for it; fewer than it has when it went on from a checkpoint.
    package let computedSteps: Int
}

extension RenderPipeline {
    /// Renders one picture.
    ///
    /// Equal requests give equal bytes, whether a render goes on from a checkpoint or not. What
    /// `onStep` throws ends it at once: nothing is decoded then.
    ///
    /// - Parameters:
    ///   - request: What to render; it was validated.
    ///   - checkpoint: Where an earlier render of the same request stood, or nil for the start.
    ///   - dump: Receives every intermediate value that is computed, or nil.
    ///   - onStep: Called after each step that is computed; what it throws ends the render.
    /// - Returns: The picture.
    /// - Throws: `CheckpointError` for a checkpoint of another render, `RenderError` for too little
    ///   memory and for values that are not numbers, what `onStep` throws, and what reading the
    ///   model's parts throws.
    package func render(
        _ request: RenderRequest,
        resuming checkpoint: RenderCheckpoint? = nil,
        dump: IntermediateDump? = nil,
        onStep: (StepProgress) throws -> Void = { _ in }
    ) throws -> RenderedPicture {
        try use(request.loras)
        let conditions = conditionPlan.conditions(of: request)
        let provenance = Provenance(request, pipeline: self)
        let fingerprint = try fingerprint(request, provenance, conditions)
        try checkpoint?.check(
            fingerprint,
            steps: request.steps,
            rows: outputGrid(request).count,
            columns: 4 * model.autoencoder.configuration.latentChannels
        )
        let denoiser = try makeDenoiser(request, conditions, dump: dump)
        try checkGroup()
        if let checkpoint { denoiser.resume(checkpoint) }
        let running = RunningRender(
            request: request,
            fingerprint: fingerprint,
            denoiser: denoiser,
            pipeline: self
        )
        let first = denoiser.step
        while !denoiser.isDone {
            let duration = advance(denoiser, dump: dump)
            try checkGroup()
            try onStep(
                StepProgress(
                    step: denoiser.step,
                    steps: request.steps,
                    duration: duration,
                    render: running
                )
            )
        }
        let planes = try decode(
            denoiser.latents,
            request,
            trace: dump.map { dump in { name, value in dump.record(name, planes: value, request) } }
        )
        guard planes.isFinite else { throw RenderError.notFinite }
        let image = PixelImage(
            width: request.width,
            height: request.height,
            pixels: planes.rgb8
        )
        return RenderedPicture(
            image: image,
            png: try PNGEncoder.encode(image, texts: [provenance.chunk]),
            computedSteps: request.steps - first
        )
    }

    /// Takes one step and records it; returns how long it took.
    private func advance(_ denoiser: Denoiser, dump: IntermediateDump?) -> Duration {
        let step = denoiser.step
        let trace: Trace? = step == 0 ? dump.map { dump in { dump.record(step: $0, $1) } } : nil
        let duration = ContinuousClock().measure { denoiser.advance(trace: trace) }
        tally.steps += 1
        dump?.record("pred_step\(step)", tokens: denoiser.prediction)
        dump?.record("latent_step\(step)", tokens: denoiser.latents)
        return duration
    }

    /// What determines the latents after each step.
    private func fingerprint(
        _ request: RenderRequest,
        _ provenance: Provenance,
        _ conditions: ConditionPlan.Conditions
    ) throws -> RenderFingerprint {
        RenderFingerprint(
            model: digest(with: listing).description,
            numericClass: request.stepCache > 0
                ? "\(numericClass)/step-cache-\(request.stepCache)" : "\(numericClass)",
            request: Diffusion.digest(ofLines: [try provenance.chunk.text]),
            schedule: Diffusion.digest(
                ofLines: schedule(request).sigmas.map { "\($0.bitPattern)" }
            ),
            conditions: conditions.digest
        )
    }

    /// Draws the noise, encodes the conditions, and sets up the loop.
    private func makeDenoiser(
        _ request: RenderRequest,
        _ conditions: ConditionPlan.Conditions,
        dump: IntermediateDump?
    ) throws -> Denoiser {
        let prompt = try encode(conditions.prompt)
        let negative = try conditions.negative.map { try encode($0) }
        let encoded = try conditions.references.map { try encode($0) }
        let transformer = try loadTransformer()

        // noise first, then the posterior samples, from one generator
        var generator = TorchGenerator(seed: request.seed)
        let grid = outputGrid(request)
        let noise = drawNoise(&generator, grid: grid, precision: request.noise)
        let latents = encoded.map { reference in
            Patches.pack(
                latent(reference, request.posterior, &generator),
                grid: reference.grid
            )
        }
        let positions = Self.positions(output: grid, references: encoded.map(\.grid))
        try requireMemory(for: request, tokens: prompt.features.rows + positions.count)
        let context = branchContext(
            transformer,
            prompt,
            references: zip(request.conditions, latents).map { condition, tokens in
                FluxTrunk.Reference(
                    tokens: tokens,
                    embedding: adapters.embeddings?.reference(slot: condition.slot)
                )
            },
            outputEmbedding: adapters.embeddings?.output,
            positions: positions,
            stepCache: request.stepCache
        )
        let plain = negative.map {
            branchContext(
                transformer,
                $0,
                references: [],
                outputEmbedding: nil,
                positions: Array(positions[..<grid.count]),
                stepCache: request.stepCache
            )
        }
        let schedule = schedule(request)
        dump?.record(
            prompt,
            vocabulary: t5VocabularySize,
            noise: noise,
            references: latents,
            schedule: schedule,
            context: context.context,
            positions: positions
        )
        return Denoiser(
            request,
            transformer: transformer,
            schedule: schedule,
            noise: noise,
            context: context,
            plain: plain,
            in: compute
        )
    }

    /// Embeds a branch's conditions, in a group with every member.
    private func branchContext(
        _ transformer: FluxTransformer,
        _ prompt: EncodedPrompt,
        references: [FluxTrunk.Reference],
        outputEmbedding: Tensor?,
        positions: [TokenPosition],
        stepCache: Float
    ) -> BranchContext {
        let conditions = transformer.conditions(
            text: prompt.features,
            references: references,
            outputEmbedding: outputEmbedding,
            positions: positions,
            in: compute
        )
        return BranchContext(
            context: transformer.context(conditions, pooled: prompt.pooled, in: compute),
            lead: lead?.open(conditions, stepCache: stepCache)
        )
    }

    /// The initial noise as tokens; it is drawn as a latent, before packing.
    private func drawNoise(
        _ generator: inout TorchGenerator,
        grid: TokenGrid,
        precision: NoisePrecision
    ) -> Tensor {
        let channels = model.autoencoder.configuration.latentChannels
        let latent = Tensor(rows: channels, columns: 4 * grid.count)
        generator.fillNormal(latent.elements, precision: precision)
        return Patches.pack(latent, grid: grid)
    }

    /// The scaled latent (channels, pixels) that stands for a reference.
    private func latent(
        _ reference: EncodedReference,
        _ posterior: Posterior,
        _ generator: inout TorchGenerator
    ) -> Tensor {
        let c = model.autoencoder.configuration
        let mean = reference.distribution.mean
        let logVariance = reference.distribution.logVariance
        let z = Tensor(rows: mean.rows, columns: mean.columns)
        switch posterior {
        case .mode:
            z.copy(from: mean)
        case .sample:
            generator.fillNormal(z.elements, precision: .float32)
            for index in 0..<z.elements.count {
                let deviation = exponential(0.5 * logVariance.elements[index])
                z.elements[index] = mean.elements[index] + deviation * z.elements[index]
            }
        }
        for index in 0..<z.elements.count {
            z.elements[index] = (z.elements[index] - c.shiftFactor) * c.scalingFactor
        }
        return z
    }

    /// Output at the origin, references down the diagonal behind it, none overlapping.
    static func positions(output: TokenGrid, references: [TokenGrid]) -> [TokenPosition] {
        var corner = TokenPosition(row: 0, column: 0)
        return ([output] + references).flatMap { grid in
            defer {
                corner.row += grid.rows
                corner.column += grid.columns
            }
            return grid.positions(from: corner)
        }
    }
}

extension DreamOEmbeddings {
    /// What is added to an embedded token of the reference in a slot: (1, hidden).
    func reference(slot: Int) -> Tensor {
        let hidden = task.count / 2
        let rows = zip(task[..<hidden], index[(slot * hidden)..<((slot + 1) * hidden)])
        return Tensor(rows: 1, columns: hidden, values: rows.map { $0 + $1 })
    }

    /// What is added to an embedded output token: (1, hidden).
    var output: Tensor {
        let hidden = task.count / 2
        return Tensor(rows: 1, columns: hidden, values: Array(task[hidden...]))
    }
}
