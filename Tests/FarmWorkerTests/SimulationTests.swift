import FarmModel
import FarmWorker
import FoundationEssentials
import Testing

@Suite(.timeLimit(.minutes(2))) struct SimulationTests {
    private static func configuration(
        fate: @escaping @Sendable (ImageAssignment, Int) -> SimulatedFate = { _, _ in .finishes }
    ) -> SimulatedRenderer.Configuration {
        var configuration = SimulatedRenderer.Configuration(model: .fake()) { _ in 0.003 }
        configuration.fate = fate
        return configuration
    }

    private static func worker(
        _ farm: FakeCoordinator,
        _ number: Int = 0,
        folder: String,
        fate: @escaping @Sendable (ImageAssignment, Int) -> SimulatedFate = { _, _ in .finishes }
    ) -> SimulatedWorker {
        SimulatedWorker(
            calls: farm,
            renderer: configuration(fate: fate),
            configuration: WorkerConfiguration(name: "sim-\(number)", dataFolder: folder),
            logger: .quiet
        )
    }

    @Test("the same image is the same picture everywhere, another one is another")
    func pictures() throws {
        let settings = try (1...3).map { try RenderSettings.of(prompt: "p", seed: Int64($0 % 2)) }
        let pictures = try settings.map { settings in
            let image = ImageAssignment(id: .random(), index: 0, settings: settings)
            return try SimulatedRenderer.picture(of: image, model: .fake())
        }
        #expect(pictures[0] == pictures[2])
        #expect(pictures[0] != pictures[1])
        #expect(pictures[0].starts(with: [0x89, 0x50, 0x4e, 0x47]))
    }

    @Test("many workers in one process render every image once")
    func many() async throws {
        let farm = FakeCoordinator()
        let images = 400
        for index in 0..<images { farm.lay(try .of(index)) }
        try await Bench.withFolder { folder in
            let workers = (0..<200).map { Self.worker(farm, $0, folder: folder) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in workers { group.addTask { _ = try await worker.run() } }
                for index in 0..<images { try await farm.journal.wait(for: "deliver \(index)") }
                for worker in workers { worker.drain() }
                try await group.waitForAll()
            }
        }
        #expect(farm.pictures.count == images)
        for index in 0..<images { #expect(farm.journal.count(of: "deliver \(index)") == 1) }
    }

    @Test("a crash ends a worker without a word of what it held")
    func crash() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0))
        try await Bench.withFolder { folder in
            let ending = try await Self.worker(farm, folder: folder, fate: { _, _ in .crashes })
                .run()
            guard case .crashed = ending else {
                Issue.record("the worker ended in order")
                return
            }
        }
        #expect(farm.releases.isEmpty && farm.failures.isEmpty && farm.pictures.isEmpty)
        #expect(farm.journal.count(of: "leave") == 0)
    }

    @Test("a told failure is reported, and a second try may succeed")
    func failure() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(0)
        farm.lay(task, task)
        let failure = RenderFailure(.transient, "for a test")
        try await Bench.withFolder { folder in
            let worker = Self.worker(
                farm,
                folder: folder,
                fate: { _, before in before == 0 ? .fails(failure) : .finishes }
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await worker.run() }
                try await farm.journal.wait(for: "deliver 0")
                worker.drain()
                try await group.waitForAll()
            }
        }
        #expect(farm.failures.map(\.message) == ["for a test"])
        #expect(farm.pictures.count == 1)
    }

    @Test("a worker that hangs is stopped by its end, not by its renderer")
    func hang() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0))
        try await Bench.withFolder { folder in
            let worker = Self.worker(farm, folder: folder, fate: { _, _ in .hangs })
            await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await worker.run() }
                try? await farm.journal.wait(for: "claim 0")
                group.cancelAll()
                await #expect(throws: CancellationError.self) { try await group.waitForAll() }
            }
        }
        #expect(farm.pictures.isEmpty)
    }
}
