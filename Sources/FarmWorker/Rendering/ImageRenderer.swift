package import FarmModel
package import FoundationEssentials

/// What a worker renders with: a model that is resident in memory.
package protocol ImageRenderer: Sendable {
    /// The model that is resident.
    var model: RendererModel { get }

    /// Whether it reads reference files, so that they have to be there before it renders.
    var readsReferences: Bool { get }

    /// Memory that is free for rendering now, in bytes; nil where it is not known.
    var freeMemory: Int64? { get }

    /// Renders something small, so that the first picture does not pay for a cold start.
    ///
    /// - Returns: The speed that was measured, in floating point operations a second, or nil.
    func warmUp() async throws -> Double?

    // MARK: - Conditions

    /// The names of the conditions that an image needs, each once.
    ///
    /// Usable while another image renders, as all calls for conditions are.
    ///
    /// - Parameters:
    ///   - image: What will be rendered.
    ///   - references: The paths of the reference files, in the order of the image's references.
    /// - Returns: The names.
    /// - Throws: ``RenderFailure`` for what no rendering can use.
    func conditions(
        of image: ImageAssignment,
        references: [String]
    ) async throws -> [ArtifactKey]

    /// Whether a condition is in memory.
    func holds(_ condition: ArtifactKey) -> Bool

    /// Takes a condition that was computed before.
    ///
    /// - Throws: An error that says why the bytes are not that condition.
    func adopt(_ bytes: Data, as condition: ArtifactKey) throws

    /// The bytes of a condition that is in memory, for others to adopt.
    func bytes(of condition: ArtifactKey) -> Data?

    // MARK: - Rendering

    /// Renders one image.
    ///
    /// - Parameters:
    ///   - work: What to render.
    ///   - onEvent: Told of each event, on the thread that computes; what it throws ends the
    ///     rendering there and is thrown on.
    /// - Returns: The finished picture.
    /// - Throws: ``RenderFailure`` where the class of the failure is known; anything else counts
    ///   as transient.
    func render(
        _ work: RenderWork,
        onEvent: @escaping @Sendable (RenderEvent) throws -> Void
    ) async throws -> RenderedPicture
}

extension ImageRenderer {
    package var readsReferences: Bool { true }
    package var freeMemory: Int64? { nil }
    package func warmUp() async throws -> Double? { nil }
    package func conditions(
        of image: ImageAssignment,
        references: [String]
    ) async throws -> [ArtifactKey] { [] }
    package func holds(_ condition: ArtifactKey) -> Bool { false }
    package func adopt(_ bytes: Data, as condition: ArtifactKey) throws {}
    package func bytes(of condition: ArtifactKey) -> Data? { nil }
}

/// One image to render, with everything that is needed for it on this machine.
package struct RenderWork: Sendable {
    package var image: ImageAssignment
    /// The paths of the reference files, in the order of the image's references.
    package var references: [String]
    /// The paths of the adapters' files, in the order of the image's adapters.
    package var loras: [String]
    /// Where an earlier attempt left off.
    package var checkpoint: Data?

    package init(
        image: ImageAssignment,
        references: [String],
        loras: [String] = [],
        checkpoint: Data? = nil
    ) {
        self.image = image
        self.references = references
        self.loras = loras
        self.checkpoint = checkpoint
    }
}

/// What happens in the course of a rendering.
package enum RenderEvent {
    /// The conditions are there; these of them were computed now.
    case conditions(computed: [ArtifactKey], found: Int)
    /// It goes on from a checkpoint, after this many steps.
    case resumed(step: Int)
    /// A denoise step is done.
    case step(RenderStep)
    /// The steps are over and the picture is being made.
    case decoding
    /// Something a person should know.
    case warning(String)
}

/// A denoise step that is done; valid while it is told of.
package struct RenderStep {
    /// How many steps are done, those of a checkpoint included.
    package var step: Int
    package var steps: Int
    /// How long the step took, in seconds.
    package var seconds: Double
    /// Whether it took most of the step before over, so that its time says nothing of the worker's speed.
    package var wasCached = false
    /// Makes a checkpoint.
    package var checkpoint: () throws -> Data
    /// Makes a small picture of where the rendering is heading, or nil.
    package var preview: () throws -> PicturePreview?
    /// Makes a picture of where the rendering is heading that a person can decide by.
    package var draft: () throws -> DraftPicture

    package init(
        step: Int,
        steps: Int,
        seconds: Double,
        checkpoint: @escaping () throws -> Data,
        preview: @escaping () throws -> PicturePreview? = { nil },
        draft: @escaping () throws -> DraftPicture
    ) {
        self.step = step
        self.steps = steps
        self.seconds = seconds
        self.checkpoint = checkpoint
        self.preview = preview
        self.draft = draft
    }
}

/// A finished picture.
package struct RenderedPicture: Sendable {
    /// The bytes of the PNG file.
    package var png: Data

    package init(png: Data) {
        self.png = png
    }
}

/// A rendering that ended through no fault of the task or the worker: it is given back.
package struct RenderInterrupted: Error, Hashable, Sendable, CustomStringConvertible {
    package let reason: String

    package init(reason: String) {
        self.reason = reason
    }

    package var description: String { reason }
}

/// A failure of which the renderer knows the class.
package struct RenderFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package var failureClass: FailureClass
    /// What failed, in words a person can act on.
    package var message: String
    /// The index of the image that failed, where it is one of the task's.
    package var image: Int?

    package init(_ failureClass: FailureClass, _ message: String) {
        self.failureClass = failureClass
        self.message = message
    }

    package var description: String { message }
}
