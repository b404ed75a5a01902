package import Imaging
import Tensors

/// Where a render stands between two steps; valid until the observer of the step returns.
package struct StepProgress {
    /// How many steps are done.
    package let step: Int
    package let steps: Int
    /// How long the last step took.
    package let duration: Duration
    let render: RunningRender

    /// How long the last step took, in seconds.
    package var seconds: Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    /// Takes down what is needed to go on from here; costs a copy of the latents.
    package func checkpoint() -> RenderCheckpoint {
        render.checkpoint()
    }

    /// Decodes where the picture is heading; costs a decoding.
    ///
    /// - Returns: A picture of the full size.
    /// - Throws: What reading the decoder throws.
    package func preview() throws -> PixelImage {
        try render.preview()
    }
}

/// One render while it runs.
struct RunningRender {
    let request: RenderRequest
    let fingerprint: RenderFingerprint
    let denoiser: Denoiser
    let pipeline: RenderPipeline

    func checkpoint() -> RenderCheckpoint {
        RenderCheckpoint(
            step: denoiser.step,
            steps: request.steps,
            fingerprint: fingerprint,
            latents: denoiser.latents.copy()
        )
    }

    func preview() throws -> PixelImage {
        PixelImage(
            width: request.width,
            height: request.height,
            pixels: try pipeline.decode(denoiser.estimate(), request).rgb8
        )
    }
}
