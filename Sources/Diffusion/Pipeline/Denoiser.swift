import Networks
import Tensors

/// The denoising loop of one picture, a step at a time.
///
/// Between two steps the caller may show progress, make a preview, or stop.
final class Denoiser {
    private let transformer: FluxTransformer
    private let schedule: Schedule
    private let request: RenderRequest
    private let context: FluxTransformer.Context
    /// The plain branch of true CFG: no references, no embeddings, the negative prompt.
    private let plain: FluxTransformer.Context?
    private let compute: Compute

    /// The output tokens after the steps done so far: (tokens, channels).
    let latents: Tensor
    /// The last prediction, after true CFG: (tokens, channels).
    let prediction: Tensor
    private let plainPrediction: Tensor?
    /// How many steps are done.
    private(set) var step = 0

    init(
        _ request: RenderRequest,
        transformer: FluxTransformer,
        schedule: Schedule,
        noise: Tensor,
        context: FluxTransformer.Context,
        plain: FluxTransformer.Context?,
        in compute: Compute
    ) {
        self.request = request
        self.transformer = transformer
        self.schedule = schedule
        self.context = context
        self.plain = plain
        self.compute = compute
        latents = noise.copy()
        prediction = Tensor(rows: noise.rows, columns: noise.columns)
        plainPrediction = plain.map { _ in Tensor(rows: noise.rows, columns: noise.columns) }
    }

    var isDone: Bool { step == schedule.steps }

    /// Goes on where another run of the same render stood.
    ///
    /// - Parameter checkpoint: It was checked against the render.
    func resume(_ checkpoint: RenderCheckpoint) {
        latents.copy(from: checkpoint.latents)
        step = checkpoint.step
    }

    /// Takes the next step: predict, and go along the prediction.
    func advance(trace: Trace? = nil) {
        transformer(
            prediction,
            latents: latents,
            timestep: schedule.timestep(step),
            guidance: request.guidance(step: step),
            context: context,
            in: compute,
            trace: trace
        )
        if request.trueCFG.applies(step: step), let plain, let plainPrediction {
            transformer(
                plainPrediction,
                latents: latents,
                timestep: schedule.timestep(step),
                guidance: request.trueCFG.guidance,
                context: plain,
                in: compute
            )
            // plain + scale · (prediction − plain), in the published order of operations
            compute.add(prediction, plainPrediction, scale: -1)
            compute.add(plainPrediction, prediction, scale: request.trueCFG.scale)
            prediction.copy(from: plainPrediction)
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
