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

    /// Whether most of the last step was taken from the one before, by the step cache: its time says
    /// nothing of the machine.
    package var wasCached: Bool { render.denoiser.wasCached }

    /// Takes down what is needed to go on from here; costs a copy of the latents.
    package func checkpoint() -> RenderCheckpoint {
        render.checkpoint()
    }

    /// A small picture of where the render is heading; costs some milliseconds.
    ///
    /// - Returns: A JPEG file of less than 16 KiB, its longer side at most 128 pixels.
    /// - Throws: What reading the decoder throws, where colours were not fitted to it before.
    package func thumbnail() throws -> [UInt8] {
        try render.thumbnail()
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
            latents: denoiser.latents.copy(),
            computed: denoiser.computed
        )
    }

    func thumbnail() throws -> [UInt8] {
        try pipeline.thumbnail(denoiser.estimate(), request)
    }

    func preview() throws -> PixelImage {
        PixelImage(
            width: request.width,
            height: request.height,
            pixels: try pipeline.decode(denoiser.estimate(), request).rgb8
        )
    }
}

extension RenderPipeline {
    private static let thumbnailSide = 128
    private static let thumbnailBytes = 16 << 10

    /// A small JPEG file of what some output tokens stand for.
    func thumbnail(_ tokens: Tensor, _ request: RenderRequest) throws -> [UInt8] {
        var image = try loadProjection().picture(tokens, grid: outputGrid(request))
        let longer = max(image.width, image.height)
        if longer > Self.thumbnailSide {
            func side(_ length: Int) -> Int {
                max(1, length * Self.thumbnailSide / longer)
            }
            image = AreaResampler.resize(
                image,
                width: side(image.width),
                height: side(image.height)
            )
        }
        return try JPEGEncoder.encode(image, below: Self.thumbnailBytes)
    }
}
