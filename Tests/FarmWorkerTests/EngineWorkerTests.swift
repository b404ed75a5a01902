import FarmModel
import FarmWorker
import FoundationEssentials
import Imaging
import Testing

/// Workers with the engine and a tiny model.
@Suite(.timeLimit(.minutes(10))) struct EngineWorkerTests {
    private static let goldens = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Goldens")

    /// A tiny model.
    static let configuration = PipelineRenderer.Configuration(
        path: goldens.appending(path: "two-references/model").path,
        name: "tiny",
        threads: 1
    )

    private static func renderer() async throws -> PipelineRenderer {
        try await PipelineRenderer(configuration, log: { _ in })
    }

    private static let steps = 4

    /// A picture with two references, which the farm has.
    static func task(
        _ farm: FakeCoordinator,
        checkpoints: [CheckpointOffer] = []
    ) throws -> TaskAssignment {
        let digests = try ["face", "jacket"].map { name in
            let path = goldens.appending(path: "images/\(name).png").path
            return farm.store(try #require(FileManager.default.contents(atPath: path)))
        }
        return try .of(
            0,
            steps: steps,
            prompt: "[ref#1] wears [ref#2]",
            references: digests,
            checkpoints: checkpoints
        )
    }

    /// Runs a worker until `line` is in the farm's journal, then drains it.
    private static func work(
        _ farm: FakeCoordinator,
        _ renderer: any ImageRenderer,
        folder: String,
        until line: String,
        count: Int = 1
    ) async throws {
        let worker = WorkerService(
            calls: farm,
            renderer: renderer,
            configuration: WorkerConfiguration(name: "tiny", dataFolder: folder),
            logger: .quiet
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.run() }
            try await farm.journal.wait(for: line, count: count)
            worker.drain()
            try await group.waitForAll()
        }
    }

    /// The picture of the task, rendered without an interruption.
    private static func uninterrupted() async throws -> Data? {
        let farm = FakeCoordinator()
        farm.lay(try task(farm))
        try await Bench.withFolder { folder in
            try await work(farm, try await renderer(), folder: folder, until: "deliver 0")
        }
        #expect(farm.reports.map(\.stepsComputed) == [steps])
        return farm.pictures[0]
    }

    @Test("a task that is released and resumed elsewhere gives the same bytes and repeats no step")
    func resume() async throws {
        let expected = try #require(await Self.uninterrupted())
        for stop in 1..<Self.steps {
            let farm = FakeCoordinator()
            farm.lay(try Self.task(farm))
            try await Bench.withFolder { folder in
                let renderer = InterruptedRenderer(try await Self.renderer(), after: stop)
                var configuration = WorkerConfiguration(name: "tiny", dataFolder: folder)
                configuration.drain = .release
                let worker = WorkerService(
                    calls: farm,
                    renderer: renderer,
                    configuration: configuration,
                    logger: .quiet
                )
                renderer.onStop = { worker.drain() }
                try await worker.run()
            }
            #expect(farm.checkpoints.map(\.request.step) == [stop])
            #expect(farm.pictures.isEmpty)
            farm.lay(try Self.task(farm, checkpoints: [try farm.offer()]))
            try await Bench.withFolder { folder in
                try await Self.work(
                    farm,
                    try await Self.renderer(),
                    folder: folder,
                    until: "deliver 0"
                )
            }
            #expect(farm.pictures[0] == expected)
            #expect(farm.reports.map(\.stepsComputed) == [stop, Self.steps - stop])
        }
    }

    @Test(
        "what is kept of a draft has the bytes of a picture that was never stopped, and repeats no step"
    )
    func draft() async throws {
        let expected = try #require(await Self.uninterrupted())
        for stop in 1..<Self.steps {
            let farm = FakeCoordinator()
            var task = try Self.task(farm)
            task.images[0].draftSteps = stop
            farm.lay(task)
            try await Bench.withFolder { folder in
                let renderer = try await Self.renderer()
                try await Self.work(farm, renderer, folder: folder, until: "draft 0 at \(stop)")
            }
            #expect(farm.checkpoints.map(\.request.step) == [stop])
            #expect(farm.pictures.isEmpty)
            let draft = try #require(farm.drafts.first)
            let picture = try ImageDecoder().decode([UInt8](draft.picture), name: "draft")
            let settings = try #require(task.images.first).settings
            #expect(picture.width == settings.width && picture.height == settings.height)
            farm.lay(try Self.task(farm, checkpoints: [try farm.offer()]))
            try await Bench.withFolder { folder in
                let renderer = try await Self.renderer()
                try await Self.work(farm, renderer, folder: folder, until: "deliver 0")
            }
            #expect(farm.pictures[0] == expected)
            #expect(farm.reports.map(\.stepsComputed) == [stop, Self.steps - stop])
        }
    }

    @Test("a checkpoint with one changed bit is refused, and the picture rendered anew")
    func alteredCheckpoint() async throws {
        let expected = try #require(await Self.uninterrupted())
        let farm = FakeCoordinator()
        farm.lay(try Self.task(farm))
        try await Bench.withFolder { folder in
            let renderer = InterruptedRenderer(try await Self.renderer(), after: 2)
            var configuration = WorkerConfiguration(name: "tiny", dataFolder: folder)
            configuration.drain = .release
            let worker = WorkerService(
                calls: farm,
                renderer: renderer,
                configuration: configuration,
                logger: .quiet
            )
            renderer.onStop = { worker.drain() }
            try await worker.run()
        }
        var offer = try farm.offer()
        var bytes = try #require(farm.checkpoints.last).bytes
        let middle = bytes.startIndex + bytes.count / 2
        bytes[middle] ^= 1
        offer.digest = farm.store(bytes)
        farm.lay(try Self.task(farm, checkpoints: [offer]))
        try await Bench.withFolder { folder in
            try await Self.work(farm, try await Self.renderer(), folder: folder, until: "deliver 0")
        }
        #expect(farm.pictures[0] == expected)
        #expect(farm.reports.last?.stepsComputed == Self.steps)
        let lines = farm.heartbeats.flatMap(\.log)
        #expect(lines.contains { $0.text.contains("the checkpoint is refused") })
    }

    @Test("a second job with the same references and prompts computes no condition")
    func conditions() async throws {
        let farm = FakeCoordinator()
        let expected = 3
        try await Bench.withFolder { folder in
            farm.lay(try Self.task(farm), try Self.task(farm))
            try await Self.work(
                farm,
                try await Self.renderer(),
                folder: folder,
                until: "deliver 0",
                count: 2
            )
            // Once more in a new process, from this machine's disk alone.
            let cut = FakeCoordinator()
            cut.lay(try Self.task(cut))
            try await Self.work(cut, try await Self.renderer(), folder: folder, until: "deliver 0")
            #expect(cut.reports.map(\.conditionsComputed) == [0])
        }
        // And on another machine, from the farm.
        farm.lay(try Self.task(farm))
        try await Bench.withFolder { folder in
            try await Self.work(
                farm,
                try await Self.renderer(),
                folder: folder,
                until: "deliver 0",
                count: 3
            )
        }
        #expect(farm.artifacts.count == expected)
        #expect(farm.reports.map(\.conditionsComputed) == [expected, 0, 0])
        #expect(farm.reports.map(\.conditionsFound) == [0, expected, expected])
    }

    @Test("what predicts a picture's work has the tokens that the model's prompts have")
    func costs() async throws {
        let costs = try #require(try await Self.renderer().model.costs)
        // As the model's tokenizer is configured, not FLUX.1's 512.
        #expect(costs.textTokens == 48)
    }

    @Test("a reference that is no picture fails at once and for good")
    func brokenReference() async throws {
        let farm = FakeCoordinator()
        let digest = farm.store(Data("no picture".utf8))
        farm.lay(try .of(0, prompt: "[ref#1]", references: [digest]))
        try await Bench.withFolder { folder in
            try await Self.work(farm, try await Self.renderer(), folder: folder, until: "fail")
        }
        #expect(farm.failures.map(\.failureClass) == [.deterministic])
        #expect(farm.failures.first?.message.contains("not a picture") == true)
    }
}

/// A renderer that tells someone after a step.
private final class InterruptedRenderer: ImageRenderer {
    private let base: PipelineRenderer
    private let stop: Int
    private let action = Watched<(@Sendable () -> Void)?>(nil)

    init(_ base: PipelineRenderer, after stop: Int) {
        self.base = base
        self.stop = stop
    }

    var onStop: (@Sendable () -> Void)? {
        get { action.read { $0 } }
        set { action.update { $0 = newValue } }
    }

    var model: RendererModel { base.model }

    func conditions(
        of image: ImageAssignment,
        references: [String]
    ) async throws -> [ArtifactKey] {
        try await base.conditions(of: image, references: references)
    }

    func holds(_ condition: ArtifactKey) -> Bool { base.holds(condition) }

    func adopt(_ bytes: Data, as condition: ArtifactKey) throws {
        try base.adopt(bytes, as: condition)
    }

    func bytes(of condition: ArtifactKey) -> Data? { base.bytes(of: condition) }

    func render(
        _ work: RenderWork,
        onEvent: @escaping @Sendable (RenderEvent) throws -> Void
    ) async throws -> RenderedPicture {
        let (action, stop) = (onStop, stop)
        return try await base.render(work) { event in
            if case .step(let step) = event, step.step == stop { action?() }
            try onEvent(event)
        }
    }
}
