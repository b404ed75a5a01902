/// Everything that decides one picture but the model: what a worker renders.
package struct RenderSettings: Hashable, Codable, Sendable {
    package var prompt: String
    package var negativePrompt: String
    /// The references in the order given; at most nine.
    package var references: [ConditionSpecification]
    package var seed: Int64
    /// Picture width in pixels, a multiple of 16.
    package var width: Int
    /// Picture height in pixels, a multiple of 16.
    package var height: Int
    package var steps: Int
    /// Distilled guidance.
    package var guidance: Double
    /// Distilled guidance of the first step; 0 means ``guidance``.
    package var firstStepGuidance: Double
    package var trueCfg: TrueGuidance
    package var prepare: Preparation
    /// The side in pixels to whose square area references are resized.
    package var refRes: Int
    package var posterior: PosteriorChoice
    package var noise: NoisePrecision
    /// The longest prompt in T5 tokens, or nil for the model's own limit.
    package var maxTextTokens: Int?
    /// The threshold of the step cache; nil computes every step.
    package var stepCache: Double?
    /// The submitter's own adapters, added after the model's in this order.
    package var loras: [LoraSpecification]

    package init(
        prompt: String,
        negativePrompt: String,
        references: [ConditionSpecification],
        seed: Int64,
        width: Int,
        height: Int,
        steps: Int,
        guidance: Double,
        firstStepGuidance: Double,
        trueCfg: TrueGuidance,
        prepare: Preparation,
        refRes: Int,
        posterior: PosteriorChoice,
        noise: NoisePrecision,
        maxTextTokens: Int?,
        loras: [LoraSpecification]
    ) {
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        self.references = references
        self.seed = seed
        self.width = width
        self.height = height
        self.steps = steps
        self.guidance = guidance
        self.firstStepGuidance = firstStepGuidance
        self.trueCfg = trueCfg
        self.prepare = prepare
        self.refRes = refRes
        self.posterior = posterior
        self.noise = noise
        self.maxTextTokens = maxTextTokens
        self.loras = loras
    }
}

/// An adapter of the submitter's own and how strongly it counts.
package struct LoraSpecification: Hashable, Codable, Sendable {
    /// The file's name as the submitter wrote it.
    package var file: String
    /// The digest of the file's bytes; nil only before the files are hashed.
    package var sha256: BlobDigest?
    /// The factor of its products; 1 is as it was trained.
    package var weight: Double

    package init(file: String, sha256: BlobDigest? = nil, weight: Double = 1) {
        self.file = file
        self.sha256 = sha256
        self.weight = weight
    }
}

/// One reference picture with its task and slot.
package struct ConditionSpecification: Hashable, Codable, Sendable {
    /// The file's name as the submitter wrote it.
    package var image: String
    /// The digest of the file's bytes; nil only before the files are hashed.
    package var sha256: BlobDigest?
    package var task: ConditionTask
    /// The number of its placeholder, 1…9: slot 2 is `[ref#2]`.
    package var slot: Int

    package init(image: String, sha256: BlobDigest?, task: ConditionTask, slot: Int) {
        self.image = image
        self.sha256 = sha256
        self.task = task
        self.slot = slot
    }
}

/// What of a reference the picture takes over.
package enum ConditionTask: String, Codable, CaseIterable, Sendable {
    /// A subject, object or garment.
    case ip
    /// A face.
    case id
    /// The style.
    case style
}

/// Classifier-free guidance with a negative prompt, and the steps in which it acts.
package struct TrueGuidance: Hashable, Codable, Sendable {
    /// 1 turns it off.
    package var scale: Double
    /// The first step of the window.
    package var start: Int
    /// The step after the window.
    package var end: Int
    /// Distilled guidance of the negative branch.
    package var guidance: Double

    /// No true guidance.
    package static let off = TrueGuidance(scale: 1, start: 0, end: 0, guidance: 3.5)

    package init(scale: Double, start: Int, end: Int, guidance: Double) {
        self.scale = scale
        self.start = start
        self.end = end
        self.guidance = guidance
    }
}

/// What is done to a reference before it is encoded.
package enum Preparation: String, Codable, CaseIterable, Sendable {
    /// It is used as it is; its sides must be multiples of 16.
    case none
    /// It is resized by DreamO's area rule.
    case resize
}

/// Which latent of a reference's posterior is used.
package enum PosteriorChoice: String, Codable, CaseIterable, Sendable {
    case mode
    case sample
}

/// The precision in which the initial noise is drawn.
package enum NoisePrecision: String, Codable, CaseIterable, Sendable {
    case float32
    case bfloat16
}

/// What a model renders with where a job does not say.
package struct ModelDefaults: Hashable, Codable, Sendable {
    package var width: Int
    package var height: Int
    package var refRes: Int
    package var steps: Int
    package var guidance: Double

    package init(width: Int, height: Int, refRes: Int, steps: Int, guidance: Double) {
        self.width = width
        self.height = height
        self.refRes = refRes
        self.steps = steps
        self.guidance = guidance
    }
}
