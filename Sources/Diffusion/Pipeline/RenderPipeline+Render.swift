package import Imaging
import Networks
import Tensors

/// Where a render stands between two steps.
package struct StepProgress {
    /// How many steps are done.
    package let step: Int
    package let steps: Int
    /// How long the last step took.
    package let duration: Duration
    /// How long the last step took, in seconds.
    package var seconds: Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
    /// Decodes where the picture is heading; costs a decoding.
    package let preview: () throws -> PixelImage
}

/// A finished picture.
package struct RenderedPicture: Sendable {
    package let image: PixelImage
    /// The picture as a PNG file, with what determines it in a text chunk.
    package let png: [UInt8]
}

/// Why a render gave no picture.
package enum RenderError: Error, Equatable, CustomStringConvertible {
    case notFinite

    package var description: String {
        switch self {
        case .notFinite:
            "the picture has values that are not numbers: the model's weights or an adapter's"
                + " strength are out of range; check the --lora weights and the model's files"
        }
    }
}

extension RenderPipeline {
    /// Encodes all prompts and references of some requests, so that the encoders can be released.
    ///
    /// - Parameter requests: The requests that will be rendered.
    /// - Throws: What reading the encoders throws.
    package func encodeConditions(of requests: [RenderRequest]) throws {
        for request in requests {
            _ = try encode(prompt: request.prompt, maxTokens: request.maxTextTokens)
            if request.usesTrueCFG {
                _ = try encode(prompt: request.negativePrompt, maxTokens: request.maxTextTokens)
            }
            for condition in request.conditions {
                _ = try encode(condition, of: request)
            }
        }
    }

    /// Renders one picture.
    ///
    /// - Parameters:
    ///   - request: What to render; it was validated.
    ///   - dump: Receives every intermediate value, or nil.
    ///   - onStep: Called after each step; what it throws ends the render.
    /// - Returns: The picture.
    /// - Throws: What `onStep` throws, and what reading the model's parts throws.
    package func render(
        _ request: RenderRequest,
        dump: IntermediateDump? = nil,
        onStep: (StepProgress) throws -> Void = { _ in }
    ) throws -> RenderedPicture {
        let denoiser = try makeDenoiser(request, dump: dump)
        let clock = ContinuousClock()
        while !denoiser.isDone {
            let step = denoiser.step
            let trace: Trace? = step == 0 ? dump.map { dump in { dump.record(step: $0, $1) } } : nil
            let duration = clock.measure { denoiser.advance(trace: trace) }
            dump?.record("pred_step\(step)", tokens: denoiser.prediction)
            dump?.record("latent_step\(step)", tokens: denoiser.latents)
            try onStep(
                StepProgress(
                    step: denoiser.step,
                    steps: request.steps,
                    duration: duration,
                    preview: { try self.picture(denoiser.estimate(), request) }
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
        let provenance = try Provenance(request, pipeline: self)
        return RenderedPicture(
            image: image,
            png: try PNGEncoder.encode(image, texts: [provenance.chunk])
        )
    }

    private func picture(_ tokens: Tensor, _ request: RenderRequest) throws -> PixelImage {
        PixelImage(
            width: request.width,
            height: request.height,
            pixels: try decode(tokens, request).rgb8
        )
    }

    /// Draws the noise, encodes the conditions, and sets up the loop.
    private func makeDenoiser(
        _ request: RenderRequest,
        dump: IntermediateDump?
    ) throws -> Denoiser {
        let prompt = try encode(prompt: request.prompt, maxTokens: request.maxTextTokens)
        let negative =
            try request.usesTrueCFG
            ? encode(prompt: request.negativePrompt, maxTokens: request.maxTextTokens) : nil
        let encoded = try request.conditions.map { try encode($0, of: request) }
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
        let context = transformer.context(
            text: prompt.features,
            pooled: prompt.pooled,
            references: zip(request.conditions, latents).map { condition, tokens in
                FluxTransformer.Reference(
                    tokens: tokens,
                    embedding: adapters.embeddings?.reference(slot: condition.slot)
                )
            },
            outputEmbedding: adapters.embeddings?.output,
            positions: positions,
            in: compute
        )
        let plain = negative.map {
            transformer.context(
                text: $0.features,
                pooled: $0.pooled,
                references: [],
                outputEmbedding: nil,
                positions: Array(positions[..<grid.count]),
                in: compute
            )
        }
        let schedule = schedule(request)
        dump?.record(
            prompt,
            vocabulary: t5VocabularySize,
            noise: noise,
            references: latents,
            schedule: schedule,
            context: context,
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
