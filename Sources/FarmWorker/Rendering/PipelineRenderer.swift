import Diffusion
import Dispatch
package import FarmModel
import FoundationEssentials
import Imaging
import Tensors

/// Renders with a model that is resident in this process.
///
/// The arithmetic runs on a queue of its own, never on the threads that heartbeats and transfers
/// share.
package actor PipelineRenderer: ImageRenderer {
    package nonisolated let model: RendererModel
    private let pipeline: RenderPipeline
    private let executor: ComputeExecutor

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    /// Which model, and how it is used.
    package struct Configuration: Sendable {
        /// The model's directory.
        package var path: String
        /// The name to record the model under.
        package var name: String
        /// DreamO's adapters by name, `v1`, `v1.1` or `none`; nil for those that are there.
        package var adapters: String?
        package var usesTurbo: Bool
        /// Threads to compute with; nil for one a processor.
        package var threads: Int?

        package init(
            path: String,
            name: String,
            adapters: String? = nil,
            usesTurbo: Bool = true,
            threads: Int? = nil
        ) {
            self.path = path
            self.name = name
            self.adapters = adapters
            self.usesTurbo = usesTurbo
            self.threads = threads
        }
    }

    /// Opens the model and reads all of it into memory.
    ///
    /// - Parameters:
    ///   - configuration: Which model.
    ///   - log: Receives a line when something long begins, and warnings.
    /// - Throws: An error that names the file and the remedy when the model cannot be used.
    package init(
        _ configuration: Configuration,
        log: @escaping @Sendable (String) -> Void
    ) async throws {
        let executor = ComputeExecutor()
        self.executor = executor
        let compute = Compute(threads: configuration.threads)
        let directory = try ModelDirectory(path: configuration.path)
        log("digesting \(configuration.path)")
        let pipeline = try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(
                threads: compute.threads,
                cache: .standard
            ),
            selection: AdapterSelection(
                dreamO: try configuration.adapters.map { name in
                    try AdapterSelection.choice(named: name)
                } ?? .available,
                usesTurbo: configuration.usesTurbo
            ),
            compute: compute
        )
        pipeline.log = log
        let defaults = pipeline.defaults
        model = RendererModel(
            name: configuration.name,
            digest: pipeline.digest.description,
            precision: "float32",
            defaults: FarmModel.ModelDefaults(
                width: defaults.width,
                height: defaults.height,
                refRes: defaults.refRes,
                steps: defaults.steps,
                guidance: Double("\(defaults.guidance)") ?? Double(defaults.guidance)
            )
        )
        self.pipeline = pipeline
        for line in pipeline.adapters.warnings {
            log("warning: \(line)")
        }
        try pipeline.loadAll()
    }

    package func render(
        _ image: ImageAssignment,
        references: [String],
        onStep: @escaping @Sendable (StepReport) throws -> Void
    ) async throws -> RenderedPicture {
        do {
            let request = try RenderRequest(image.settings, references: references)
            try request.validate()
            let picture = try pipeline.render(request) { step in
                try onStep(
                    StepReport(step: step.step, steps: step.steps, seconds: step.seconds)
                )
            }
            return RenderedPicture(png: Data(picture.png))
        } catch let error as any DescribedRenderError {
            throw RenderFailure(error.failureClass, error.description)
        }
    }
}

/// Runs an actor's work on one queue, away from the cooperative threads.
private final class ComputeExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "dreamfarm.compute", qos: .userInitiated)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}

/// An error of the engine whose failure class is known by its type.
private protocol DescribedRenderError: Error, CustomStringConvertible {
    var failureClass: FailureClass { get }
}

extension RenderRequestError: DescribedRenderError {
    fileprivate var failureClass: FailureClass { .deterministic }
}

extension ImageError: DescribedRenderError {
    fileprivate var failureClass: FailureClass { .deterministic }
}

extension RenderError: DescribedRenderError {
    fileprivate var failureClass: FailureClass { .deterministic }
}

extension SafetensorsError: DescribedRenderError {
    fileprivate var failureClass: FailureClass { .workersFault }
}

extension RenderRequest {
    /// The request that an image's settings are.
    ///
    /// - Parameters:
    ///   - settings: The settings, fixed when the job was submitted.
    ///   - references: The paths of the reference files, in the order of the settings.
    /// - Throws: `ImageError` for a reference that is no picture.
    fileprivate init(_ settings: RenderSettings, references: [String]) throws {
        self.init(
            prompt: settings.prompt,
            width: settings.width,
            height: settings.height,
            steps: settings.steps,
            guidance: Float(settings.guidance),
            seed: UInt64(bitPattern: settings.seed),
            refRes: settings.refRes
        )
        negativePrompt = settings.negativePrompt
        firstStepGuidance = Float(settings.firstStepGuidance)
        trueCFG = TrueCFG(
            scale: Float(settings.trueCfg.scale),
            start: settings.trueCfg.start,
            end: settings.trueCfg.end,
            guidance: Float(settings.trueCfg.guidance)
        )
        conditions = try zip(settings.references, references).map { reference, path in
            try Condition(
                path: path,
                task: .init(rawValue: reference.task.rawValue) ?? .ip,
                slot: reference.slot,
                name: reference.image
            )
        }
        prepare = .init(rawValue: settings.prepare.rawValue) ?? .resize
        posterior = .init(rawValue: settings.posterior.rawValue) ?? .mode
        noise = .init(rawValue: settings.noise.rawValue) ?? .float32
        maxTextTokens = settings.maxTextTokens
    }
}
