import Networks
import Tensors

/// One branch of a picture's denoising: its conditions and, where steps are cached, what its last
/// computed step left.
final class DenoisingBranch {
    private let transformer: FluxTransformer
    private let context: BranchContext
    /// The noise level and the distilled guidance of each step.
    private let steps: [(timestep: Float, guidance: Float)]
    private let compute: Compute
    private let cache: StepCache?
    /// The modulating vectors of some steps around the last one.
    private var window: (steps: Range<Int>, modulation: FluxTransformer.Modulation)?

    /// The last prediction: (tokens, channels).
    let prediction: Tensor
    /// The step that was computed last, and the latents before it; nil before any, or without a cache.
    private(set) var computed: ComputedStep?

    /// How many steps' modulating vectors are computed together: 4 MB each in FLUX.1-dev.
    static let windowSteps = 32

    init(
        _ transformer: FluxTransformer,
        _ context: BranchContext,
        steps: [(timestep: Float, guidance: Float)],
        prediction: Tensor,
        stepCache: Float,
        in compute: Compute
    ) {
        self.transformer = transformer
        self.context = context
        self.steps = steps
        self.prediction = prediction
        self.compute = compute
        cache = stepCache > 0 ? StepCache(threshold: stepCache) : nil
    }

    /// Whether the last prediction was made without most of the blocks.
    var wasCached: Bool { cache?.wasHit ?? false }

    /// Predicts a step from the latents before it.
    func predict(_ step: Int, _ latents: Tensor, trace: Trace? = nil) {
        let (range, modulation) = vectors(of: step)
        context.lead?.begin(step: step - range.lowerBound, latents)
        transformer(
            prediction,
            latents: latents,
            modulation: modulation,
            step: step - range.lowerBound,
            context: context.context,
            in: compute,
            cache: cache,
            trace: trace
        )
        guard let cache, !cache.wasHit else { return }
        computed = ComputedStep(step: step, latents: latents.copy())
    }

    /// The modulating vectors of a step, and the steps that they are of.
    private func vectors(
        of step: Int
    ) -> (steps: Range<Int>, modulation: FluxTransformer.Modulation) {
        if let window, window.steps.contains(step) { return window }
        window = nil
        let range = step..<min(steps.count, step + Self.windowSteps)
        let temb = transformer.temb(Array(steps[range]), context: context.context, in: compute)
        context.lead?.modulate(temb)
        let computed = transformer.modulation(temb, in: compute)
        window = (range, computed)
        return (range, computed)
    }
}

/// A step of a branch of which all blocks ran: it can be computed again, to the same values.
struct ComputedStep: Sendable {
    let step: Int
    /// The output tokens before it: (tokens, channels).
    let latents: Tensor
}

/// What a branch's tokens are made of and, in a group, its place with the other members.
struct BranchContext {
    let context: FluxTransformer.Context
    let lead: LedBranch?
}
