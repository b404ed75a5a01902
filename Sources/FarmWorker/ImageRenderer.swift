package import FarmModel
package import FoundationEssentials

/// What a worker renders with: a model that is resident in memory.
package protocol ImageRenderer: Sendable {
    /// The model that is resident.
    var model: RendererModel { get }

    /// Renders one image.
    ///
    /// `onStep` is called after every denoise step; what it throws ends the rendering at that
    /// step and is thrown on.
    ///
    /// - Parameters:
    ///   - image: What to render.
    ///   - references: The paths of the reference files, in the order of the image's references.
    ///   - onStep: Told of each step.
    /// - Returns: The finished picture.
    /// - Throws: ``RenderFailure`` where the class of the failure is known; anything else counts
    ///   as transient.
    func render(
        _ image: ImageAssignment,
        references: [String],
        onStep: @escaping @Sendable (StepReport) throws -> Void
    ) async throws -> RenderedPicture
}

/// How far a rendering is.
package struct StepReport: Hashable, Sendable {
    /// How many steps are done.
    package var step: Int
    package var steps: Int
    /// How long the last step took, in seconds.
    package var seconds: Double

    package init(step: Int, steps: Int, seconds: Double) {
        self.step = step
        self.steps = steps
        self.seconds = seconds
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

/// A failure of which the renderer knows the class.
package struct RenderFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package var failureClass: FailureClass
    /// What failed, in words a person can act on.
    package var message: String

    package init(_ failureClass: FailureClass, _ message: String) {
        self.failureClass = failureClass
        self.message = message
    }

    package var description: String { message }
}

/// The calls of the coordinator that a worker needs.
package protocol CoordinatorCalls: Sendable {
    func register(_ request: RegistrationRequest) async throws -> RegistrationAnswer
    func heartbeat(_ worker: WorkerID, _ request: HeartbeatRequest) async throws -> HeartbeatAnswer
    func claim(_ worker: WorkerID, _ request: ClaimRequest) async throws -> ClaimAnswer
    func downloadBlob(_ digest: BlobDigest, to path: String) async throws
    func deliver(
        _ picture: Data,
        image index: Int,
        _ fence: AttemptFence
    ) async throws -> DeliveryAnswer
    func complete(_ fence: AttemptFence) async throws -> AttemptAnswer
    func fail(_ request: FailureRequest) async throws -> AttemptAnswer
    func release(_ fence: AttemptFence) async throws -> AttemptAnswer
}
