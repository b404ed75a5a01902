/// The size of a picture in pixels.
package struct PixelSize: Codable, Hashable, Sendable {
    package var width: Int
    package var height: Int

    package init(width: Int, height: Int) {
        self.width = width
        self.height = height
    }
}

/// The predicted work of one image, in floating point operations.
package struct ImageCost: Codable, Hashable, Sendable {
    /// Everything: text, references, steps, decoding.
    package var flops: Double
    /// Of one denoise step, on average over the steps.
    package var stepFlops: Double
    package var steps: Int
    /// Tokens of a forward with the references, and how many of them are the prompt's.
    package var tokens: Int
    package var textTokens: Int
    /// Tokens that go through the denoiser, over all forwards of all steps.
    package var denoiseTokens: Int
    /// The steps that add a forward without the references, and its tokens.
    package var guidedSteps: Int
    package var plainTokens: Int
}

extension ImageCost {
    /// Reads a cost; one that was stored before it told the prompt's tokens has as many as a prompt
    /// takes where a job does not say.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        flops = try values.decode(Double.self, forKey: .flops)
        stepFlops = try values.decode(Double.self, forKey: .stepFlops)
        steps = try values.decode(Int.self, forKey: .steps)
        tokens = try values.decode(Int.self, forKey: .tokens)
        textTokens =
            try values.decodeIfPresent(Int.self, forKey: .textTokens)
            ?? min(tokens, CostConstants.assumed.textTokens)
        denoiseTokens = try values.decode(Int.self, forKey: .denoiseTokens)
        guidedSteps = try values.decode(Int.self, forKey: .guidedSteps)
        plainTokens = try values.decode(Int.self, forKey: .plainTokens)
    }
}

/// Predicts work: what fair share charges, chunks are sized by, and times are predicted from.
package struct CostModel: Hashable, Sendable {
    package let constants: CostConstants

    package init(_ constants: CostConstants) {
        self.constants = constants
    }

    /// The predicted work of one image.
    ///
    /// - Parameters:
    ///   - settings: What is rendered.
    ///   - referenceSizes: The sizes of reference files by digest, where they are known; one that
    ///     is not counts as `ref_res` pixels square.
    /// - Returns: Its cost with nothing found in a cache.
    package func cost(
        of settings: RenderSettings,
        referenceSizes: [BlobDigest: PixelSize] = [:]
    ) -> ImageCost {
        let text = settings.maxTextTokens ?? constants.textTokens
        let pixels = settings.width * settings.height
        let referencePixels = settings.references.map { reference in
            Self.pixels(
                of: reference.sha256.flatMap { referenceSizes[$0] },
                settings.prepare,
                refRes: settings.refRes
            )
        }
        let plainTokens = text + pixels / 256
        let tokens = plainTokens + referencePixels.reduce(0) { $0 + $1 / 256 }
        let guided = settings.guidedSteps
        let denoising =
            Double(settings.steps) * forward(tokens: tokens)
            + Double(guided) * forward(tokens: plainTokens)
        let texts = guided > 0 ? 2 : 1
        let rest =
            Double(texts * text) * constants.flopsPerTextToken
            + Double(pixels) * constants.flopsPerDecodedPixel
            + Double(referencePixels.reduce(0, +)) * constants.flopsPerEncodedPixel
        return ImageCost(
            flops: denoising + rest,
            stepFlops: denoising / Double(max(1, settings.steps)),
            steps: settings.steps,
            tokens: tokens,
            textTokens: text,
            denoiseTokens: settings.steps * tokens + guided * plainTokens,
            guidedSteps: guided,
            plainTokens: plainTokens
        )
    }

    /// The work of one forward of the denoiser over `tokens` tokens.
    package func forward(tokens: Int) -> Double {
        let count = Double(tokens)
        return constants.flopsPerToken * count + constants.flopsPerTokenPair * count * count
    }

    /// The pixels of a reference as it is encoded.
    ///
    /// `resize` follows DreamO's area rule: each side times √(ref_res² / (width · height)), cut to
    /// a whole number and down to a multiple of 16, at least 16.
    static func pixels(of size: PixelSize?, _ preparation: Preparation, refRes: Int) -> Int {
        guard let size, size.width > 0, size.height > 0 else { return refRes * refRes }
        guard preparation == .resize else { return size.width * size.height }
        let area = Double(size.width) * Double(size.height)
        let factor = (Double(refRes * refRes) / area).squareRoot()
        func side(_ length: Int) -> Int { max(16, Int(Double(length) * factor) / 16 * 16) }
        return side(size.width) * side(size.height)
    }
}

/// Times and chunks that follow from work.
extension CostModel {
    /// How long work takes at a speed in operations a second, in seconds; nil where the speed is
    /// not known.
    package static func seconds(_ flops: Double, speed: Double?) -> Double? {
        guard let speed, speed > 0, flops.isFinite else { return nil }
        return flops / speed
    }

    /// The speed at which a step of `stepFlops` took so many seconds.
    package static func speed(stepFlops: Double, stepSeconds: Double) -> Double? {
        guard stepSeconds > 0, stepFlops > 0 else { return nil }
        return stepFlops / stepSeconds
    }

    /// How many images a task gets.
    ///
    /// As many as take the target's time, but not so many that workers are left without a task, and
    /// at most ``mostImagesPerTask``.
    ///
    /// - Parameters:
    ///   - chunk: What the job says.
    ///   - imageFlops: The predicted work of one image, on average.
    ///   - speed: The median speed of the workers that can run it, in operations a second; nil
    ///     where none is known: one image a task.
    ///   - images: How many images the job has.
    ///   - workers: How many workers can run it.
    /// - Returns: At least one.
    package static func imagesPerTask(
        _ chunk: JobChunk,
        imageFlops: Double,
        speed: Double?,
        images: Int,
        workers: Int
    ) -> Int {
        if let count = chunk.count { return max(1, min(count, images)) }
        guard let seconds = seconds(imageFlops, speed: speed), seconds > 0 else { return 1 }
        let wanted = min(chunk.targetSeconds / seconds, Double(mostImagesPerTask))
        let share = max(1, workers) * tasksPerWorker
        return max(1, min(Int(wanted), (images + share - 1) / share))
    }

    /// The most images of a task that is sized by time.
    package static let mostImagesPerTask = 100
    /// How many tasks of a job each worker finds, so that they end together.
    private static let tasksPerWorker = 4

    /// After how long without a step an attempt counts as hung, in seconds: five predicted steps,
    /// at least two minutes.
    package static func stepLimit(stepSeconds: Double?) -> Double {
        max(5 * (stepSeconds ?? 0), 120)
    }

    /// After how long an attempt counts as hung, in seconds: four times what was predicted, at least
    /// two minutes; nil where nothing was predicted.
    package static func timeLimit(predictedSeconds: Double?) -> Double? {
        predictedSeconds.map { max(4 * $0, 120) }
    }
}

extension RenderSettings {
    /// In how many steps true guidance adds a forward without the references.
    fileprivate var guidedSteps: Int {
        guard trueCfg.scale > 1 else { return 0 }
        return max(0, min(trueCfg.end, steps) - max(0, trueCfg.start))
    }
}
