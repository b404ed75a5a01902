import Networks
import Tensors

/// The denoising loop of one picture, a step at a time.
///
/// Between two steps the caller may show progress, make a preview, or stop.
final class Denoiser {
    private let schedule: Schedule
    private let request: RenderRequest
    private let compute: Compute
    private let main: DenoisingBranch
    /// The plain branch of true CFG: no references, no embeddings, the negative prompt.
    private let plain: DenoisingBranch?

    /// The output tokens after the steps done so far: (tokens, channels).
    let latents: Tensor
    /// How many steps are done.
    private(set) var step = 0

    init(
        _ request: RenderRequest,
        transformer: FluxTransformer,
        schedule: Schedule,
        noise: Tensor,
        context: BranchContext,
        plain: BranchContext?,
        in compute: Compute
    ) {
        self.request = request
        self.schedule = schedule
        self.compute = compute
        latents = noise.copy()
        func branch(
            _ context: BranchContext,
            _ guidance: (Int) -> Float
        ) -> DenoisingBranch {
            DenoisingBranch(
                transformer,
                context,
                steps: (0..<schedule.steps).map { (schedule.timestep($0), guidance($0)) },
                prediction: Tensor(rows: noise.rows, columns: noise.columns),
                stepCache: request.stepCache,
                in: compute
            )
        }
        main = branch(context, request.guidance(step:))
        self.plain = plain.map { branch($0) { _ in request.trueCFG.guidance } }
    }

    var isDone: Bool { step == schedule.steps }

    /// The last prediction, after true CFG: (tokens, channels).
    var prediction: Tensor { main.prediction }

    /// Whether the last step was predicted without most of the blocks, in one branch at least.
    private(set) var wasCached = false

    /// What the branches computed last, where their steps are cached and the branch is needed for a
    /// step that is left: the main one's, then the plain one's.
    var computed: [ComputedStep?] {
        let needsPlain = (step..<schedule.steps).contains(where: request.trueCFG.applies)
        return [main.computed, needsPlain ? plain?.computed : nil]
    }

    /// Goes on where another run of the same render stood.
    ///
    /// Where steps are cached, what they are cached from is computed again.
    ///
    /// - Parameter checkpoint: It was checked against the render.
    func resume(_ checkpoint: RenderCheckpoint) {
        for (branch, computed) in zip([main, plain], checkpoint.computed) {
            guard let branch, let computed else { continue }
            branch.predict(computed.step, computed.latents)
        }
        latents.copy(from: checkpoint.latents)
        step = checkpoint.step
    }

    /// Takes the next step: predict, and go along the prediction.
    func advance(trace: Trace? = nil) {
        main.predict(step, latents, trace: trace)
        wasCached = main.wasCached
        if request.trueCFG.applies(step: step), let plain {
            plain.predict(step, latents)
            wasCached = wasCached || plain.wasCached
            // plain + scale · (prediction − plain), in the published order of operations
            compute.add(prediction, plain.prediction, scale: -1)
            compute.add(plain.prediction, prediction, scale: request.trueCFG.scale)
            prediction.copy(from: plain.prediction)
        }
        compute.add(latents, prediction, scale: schedule.distance(step))
        step += 1
    }

    /// Where the last prediction says the picture will end: (tokens, channels).
    func estimate() -> Tensor {
        let estimate = latents.copy()
        compute.add(estimate, prediction, scale: -schedule.sigmas[step])
        return estimate
    }
}
