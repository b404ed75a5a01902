import Collectives
import Diffusion
import Dispatch
package import FarmModel
package import FoundationEssentials
import Imaging
package import Tensors

/// Renders with a model that is resident in this process.
///
/// The arithmetic runs on a queue of its own, never on the threads that heartbeats and transfers
/// share; what is known of conditions can be asked while it renders.
package actor PipelineRenderer: ImageRenderer {
    package nonisolated let model: RendererModel
    /// The memory that the model takes.
    package nonisolated let memory: ModelMemory
    private nonisolated let plan: ConditionPlan
    private nonisolated let artifacts: ArtifactCache
    /// Where references are decoded and hashed beside the arithmetic.
    private nonisolated let preparing = WorkQueue("dreamfarm.prepare", qos: .utility)
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
        /// What products are computed in; nil for what the model is packed in, else the fastest.
        package var precision: Precision?
        /// The instructions that products use; nil for the best of this processor.
        package var kernels: KernelLevel?
        /// Threads to compute with; nil for one a processor.
        package var threads: Int?
        /// How many members the group has that it leads; 1 alone.
        package var ranks = 1
        /// How many bytes of computed conditions stay in memory.
        package var conditionBytes = 256 << 20

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

        /// DreamO's adapters.
        var selection: AdapterSelection {
            get throws {
                AdapterSelection(
                    dreamO: try adapters.map { try AdapterSelection.choice(named: $0) }
                        ?? .available,
                    usesTurbo: usesTurbo
                )
            }
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
        try await self.init(opening: configuration, log: log)
        try pipeline.loadAll()
    }

    /// Opens the model; `load` reads it.
    package init(
        opening configuration: Configuration,
        log: @escaping @Sendable (String) -> Void
    ) async throws {
        let executor = ComputeExecutor()
        self.executor = executor
        let compute = Compute(
            threads: configuration.threads,
            kernels: configuration.kernels
        )
        let directory = try ModelDirectory(path: configuration.path)
        log("digesting \(configuration.path)")
        let pipeline = try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(
                threads: compute.threads,
                cache: .standard
            ),
            selection: try configuration.selection,
            precision: configuration.precision,
            ranks: configuration.ranks,
            compute: compute
        )
        pipeline.log = log
        pipeline.artifacts.limit = configuration.conditionBytes
        model = RendererModel(named: configuration.name, pipeline)
        memory = ModelMemory(pipeline)
        self.pipeline = pipeline
        plan = pipeline.conditionPlan
        artifacts = pipeline.artifacts
        for line in pipeline.adapters.warnings {
            log("warning: \(line)")
        }
    }

    /// Reads all of it into memory, or of a group's leader its part.
    package func load() throws {
        try pipeline.loadAll()
    }

    /// Leads the members of a link from now on, or nobody.
    func join(_ link: GroupLink?) throws {
        try pipeline.join(link)
    }

    package nonisolated var freeMemory: Int64? { Self.availableMemory }

    /// Memory that the system can still give, in bytes; nil where it does not say.
    package static var availableMemory: Int64? { SystemMemory.available.map(Int64.init) }

    /// Takes two steps of a small picture: the first pays for the cold start, the second is
    /// measured.
    package func warmUp() async throws -> Double? {
        var settings = RenderRequest(
            prompt: "",
            width: min(256, model.defaults.width),
            height: min(256, model.defaults.height),
            steps: 2,
            guidance: Float(model.defaults.guidance),
            seed: 0,
            refRes: model.defaults.refRes
        )
        settings.maxTextTokens = 64
        var seconds = 0.0
        do {
            _ = try pipeline.render(settings) { step in
                seconds = step.seconds
                if step.step == step.steps { throw WarmedUp() }
            }
        } catch is WarmedUp {
            guard let costs = model.costs, seconds > 0 else { return nil }
            let tokens = 64 + settings.width * settings.height / 256
            return CostModel(costs).forward(tokens: tokens) / seconds
        }
        return nil
    }

    /// Ends warming up before a picture is decoded.
    private struct WarmedUp: Error {}

    // MARK: - Conditions

    package nonisolated func conditions(
        of image: ImageAssignment,
        references: [String]
    ) async throws -> [FarmModel.ArtifactKey] {
        let plan = plan
        return try await preparing.run {
            do {
                let request = try RenderRequest(image.settings, references: references)
                try request.validate()
                return plan.keys(for: request).map { FarmModel.ArtifactKey($0) }
            } catch {
                throw RenderFailure.describing(engine: error)
            }
        }
    }

    package nonisolated func holds(_ condition: FarmModel.ArtifactKey) -> Bool {
        Diffusion.ArtifactKey(condition).map(artifacts.holds) ?? false
    }

    package nonisolated func adopt(_ bytes: Data, as condition: FarmModel.ArtifactKey) throws {
        guard let key = Diffusion.ArtifactKey(condition) else { return }
        try artifacts.adopt([UInt8](bytes), as: key)
    }

    package nonisolated func bytes(of condition: FarmModel.ArtifactKey) -> Data? {
        Diffusion.ArtifactKey(condition).flatMap { try? artifacts.bytes(of: $0) }.map { Data($0) }
    }

    // MARK: - Rendering

    package func render(
        _ work: RenderWork,
        onEvent: @escaping @Sendable (RenderEvent) throws -> Void
    ) async throws -> RenderedPicture {
        do {
            let request = try RenderRequest(
                work.image.settings,
                references: work.references,
                loras: work.loras
            )
            try request.validate()
            let count = plan.keys(for: request).count
            let computed = try pipeline.encodeConditions(of: [request])
            try onEvent(
                .conditions(
                    computed: computed.map { FarmModel.ArtifactKey($0) },
                    found: count - computed.count
                )
            )
            let checkpoint = try resumable(work, onEvent)
            do {
                return try render(request, from: checkpoint, onEvent)
            } catch let error as CheckpointError {
                try onEvent(.warning("the checkpoint is refused: \(error); beginning anew"))
                return try render(request, from: nil, onEvent)
            }
        } catch {
            throw RenderFailure.describing(engine: error)
        }
    }

    /// The checkpoint that the work brings, if it is one.
    private func resumable(
        _ work: RenderWork,
        _ onEvent: (RenderEvent) throws -> Void
    ) throws -> RenderCheckpoint? {
        guard let bytes = work.checkpoint else { return nil }
        do {
            return try RenderCheckpoint(bytes: [UInt8](bytes))
        } catch {
            try onEvent(.warning("the checkpoint is refused: \(error); beginning anew"))
            return nil
        }
    }

    private func render(
        _ request: RenderRequest,
        from checkpoint: RenderCheckpoint?,
        _ onEvent: (RenderEvent) throws -> Void
    ) throws -> RenderedPicture {
        var isResuming = checkpoint != nil
        let picture = try pipeline.render(request, resuming: checkpoint) { progress in
            if isResuming {
                isResuming = false
                try onEvent(.resumed(step: progress.step - 1))
            }
            try onEvent(.step(RenderStep(progress)))
            if progress.step == progress.steps { try onEvent(.decoding) }
        }
        return RenderedPicture(png: Data(picture.png))
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

extension RenderStep {
    /// Below how many bytes a draft's picture is kept, where its quality can be lowered to that.
    private static let largestDraft = 512 << 10

    /// A step of the engine.
    fileprivate init(_ progress: StepProgress) {
        self.init(
            step: progress.step,
            steps: progress.steps,
            seconds: progress.seconds,
            checkpoint: { Data(try progress.checkpoint().bytes()) },
            preview: {
                PicturePreview(mediaType: "image/jpeg", data: Data(try progress.thumbnail()))
            },
            draft: {
                DraftPicture(
                    type: .jpeg,
                    data: Data(
                        try JPEGEncoder.encode(progress.preview(), below: Self.largestDraft)
                    )
                )
            }
        )
        wasCached = progress.wasCached
    }
}

extension FarmModel.ArtifactKey {
    /// The farm's name of a condition of the engine.
    fileprivate init(_ key: Diffusion.ArtifactKey) {
        let kind: ArtifactKind =
            switch key.kind {
            case .prompt: .prompt
            case .reference: .posterior
            }
        guard let named = Self(rawValue: "\(kind.rawValue)-\(key.digest)") else {
            preconditionFailure("the engine's digests are SHA-256 in hexadecimal digits")
        }
        self = named
    }
}

extension Diffusion.ArtifactKey {
    /// The engine's key of a condition, or nil for a kind that it does not compute.
    fileprivate init?(_ key: FarmModel.ArtifactKey) {
        let parts = key.rawValue.split(separator: "-").map(String.init)
        guard parts.count == 2 else { return nil }
        switch ArtifactKind(rawValue: parts[0]) {
        case .prompt: self.init(.prompt, digest: parts[1])
        case .posterior: self.init(.reference, digest: parts[1])
        case .reference, nil: return nil
        }
    }
}
