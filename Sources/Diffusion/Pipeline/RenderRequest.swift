package import Imaging

/// Everything that determines one picture, beside the model.
package struct RenderRequest: Sendable, Equatable {
    package var prompt: String
    package var negativePrompt = ""
    /// Width of the picture in pixels, a multiple of 16.
    package var width: Int
    /// Height of the picture in pixels, a multiple of 16.
    package var height: Int
    package var steps: Int
    /// Distilled guidance; models without its embedding ignore it.
    package var guidance: Float
    /// Distilled guidance of the first step; 0 for `guidance`.
    package var firstStepGuidance: Float = 0
    package var trueCFG = TrueCFG()
    package var seed: UInt64
    /// The references in sequence order.
    package var conditions: [Condition] = []
    package var prepare = Preparation.resize
    /// Side of the square whose area a resized reference gets, in pixels.
    package var refRes: Int
    package var posterior = Posterior.mode
    package var noise = NoisePrecision.float32
    /// How near a step's first block must be to the last computed step's for the others to be left out,
    /// as a share of its mean; 0 computes every step.
    package var stepCache: Float = 0
    /// The user's own adapters for this picture, added after the model's in this order.
    package var loras: [AdapterSelection.Lora] = []
    /// Text tokens T5 sees; nil for the tokenizer's own length, at most 512.
    package var maxTextTokens: Int?

    package init(
        prompt: String,
        width: Int,
        height: Int,
        steps: Int,
        guidance: Float,
        seed: UInt64,
        refRes: Int
    ) {
        self.prompt = prompt
        self.width = width
        self.height = height
        self.steps = steps
        self.guidance = guidance
        self.seed = seed
        self.refRes = refRes
    }

    /// The guidance of a step.
    func guidance(step: Int) -> Float {
        step == 0 && firstStepGuidance != 0 ? firstStepGuidance : guidance
    }

    /// Whether any step takes the second forward of true CFG.
    var usesTrueCFG: Bool { (0..<steps).contains(where: trueCFG.applies) }
}

/// Classifier-free guidance against a plain branch: without references, under its own prompt.
package struct TrueCFG: Sendable, Equatable {
    /// How far to go from the plain prediction; 1 is off.
    package var scale: Float
    /// The first step it applies to.
    package var start: Int
    /// The first step it no longer applies to.
    package var end: Int
    /// Distilled guidance of the plain branch.
    package var guidance: Float

    package init(scale: Float = 1, start: Int = 0, end: Int = 0, guidance: Float = 3.5) {
        self.scale = scale
        self.start = start
        self.end = end
        self.guidance = guidance
    }

    func applies(step: Int) -> Bool {
        scale > 1 && start <= step && step < end
    }
}

/// One reference with its task and slot.
package struct Condition: Sendable, Equatable {
    /// What a reference is taken for.
    package enum Task: String, Sendable, CaseIterable, Codable {
        /// A subject, object or garment.
        case ip
        /// A face.
        case id
        /// A style.
        case style
    }

    /// What messages call the reference: its file's name.
    package var name: String
    package var task: Task
    /// The number in `[ref#1]` … `[ref#9]`.
    package var slot: Int
    package var image: PixelImage
    /// SHA-256 of the reference's file, in hexadecimal.
    package var digest: String

    package init(name: String, task: Task, slot: Int, image: PixelImage, digest: String) {
        self.name = name
        self.task = task
        self.slot = slot
        self.image = image
        self.digest = digest
    }
}

/// What is done to a reference before it is encoded.
package enum Preparation: String, Sendable, CaseIterable, Codable {
    /// Nothing: its sides must be multiples of 16.
    case none
    /// DreamO's area rule: about `refRes`² pixels, sides rounded down to multiples of 16.
    case resize
}

/// Which latent stands for a reference.
package enum Posterior: String, Sendable, CaseIterable, Codable {
    /// The posterior's mode.
    case mode
    /// A sample, drawn from the noise generator after the initial noise.
    case sample
}
