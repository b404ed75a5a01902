import FarmClient
import FarmModel
import FarmWorker
import ServiceLifecycle
import Testing

@Suite(.timeLimit(.minutes(1))) struct DrainTests {
    @Test("a graceful shutdown finishes the picture, and gives back the rest and what is ahead")
    func finish() async throws {
        let farm = FakeCoordinator()
        let (task, ahead) = (try TaskAssignment.of(0, 1), try TaskAssignment.of(2))
        farm.lay(task, ahead)
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "render 0")
            try await bench.journal.wait(for: "claim 2")
            bench.worker.drain()
            try await bench.journal.wait(for: "release not_begun")
            bench.renderer.allow(6)
            try await bench.journal.wait(for: "leave")
        }
        #expect(Array(farm.pictures.keys) == [0])
        #expect(farm.saidDigests == farm.pictures.mapValues { BlobDigest(of: $0) })
        #expect(farm.releases.map(\.fence) == [ahead.fence, task.fence])
        #expect(farm.releases.map(\.reason) == [.notBegun, .draining])
        #expect(farm.journal.has("deliver 0", before: "release draining"))
        #expect(farm.journal.count(of: "render 1") == 0)
    }

    @Test("a drain by release stops at the next step, with a checkpoint before the release")
    func release() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(7))
        try await Bench.run(farm: farm, configure: { $0.drain = .release }) { bench in
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "step 7 1")
            bench.worker.drain()
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "leave")
        }
        #expect(farm.journal.has("checkpoint 7 at 2", before: "release draining"))
        #expect(farm.pictures.isEmpty)
        #expect(farm.reports.map(\.stepsComputed) == [2])
    }

    @Test("the services' graceful shutdown drains the worker")
    func serviceGroup() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0))
        try await Bench.withFolder { folder in
            let renderer = ScriptedRenderer(journal: farm.journal)
            let worker = WorkerService(
                calls: farm,
                renderer: renderer,
                configuration: WorkerConfiguration(name: "bench", dataFolder: folder),
                logger: .quiet
            )
            let group = ServiceGroup(services: [worker], logger: .quiet)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try? await group.run() }
                try await farm.journal.wait(for: "render 0")
                await group.triggerGracefulShutdown()
                renderer.allow(3)
                try await tasks.waitForAll()
            }
        }
        #expect(farm.journal.has("deliver 0", before: "leave"))
    }

    @Test(
        "what a coordinator wants is done: drain ends, sleep waits, quarantine stops at the step",
        arguments: [DesiredWorkerState.drain, .sleep, .quarantine]
    )
    func desiredState(_ desired: DesiredWorkerState) async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0), try .of(1), try .of(2))
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "render 0")
            try await bench.journal.wait(for: "claim 1")
            farm.want(desired)
            try await bench.clock.pass(.seconds(FakeCoordinator.heartbeatSeconds))
            try await bench.journal.wait(for: "release not_begun")
            bench.renderer.allow(3)
            switch desired {
            case .drain: try await bench.journal.wait(for: "leave")
            case .sleep:
                try await bench.journal.wait(for: "deliver 0")
                farm.want(.run)
                try await bench.clock.pass(.seconds(FakeCoordinator.heartbeatSeconds))
                bench.renderer.allow(3)
                try await bench.journal.wait(for: "deliver 2")
            case .quarantine: try await bench.journal.wait(for: "release draining")
            case .run: break
            }
        }
        #expect(farm.journal.count(of: "deliver 0") == (desired == .quarantine ? 0 : 1))
        #expect(farm.journal.count(of: "checkpoint 0 at 1") == (desired == .quarantine ? 1 : 0))
        #expect(farm.journal.count(of: "render 2") == (desired == .sleep ? 1 : 0))
    }

    @Test("a drain waits for a coordinator that is away only as long as its grace")
    func grace() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0))
        farm.refuse("deliver", [FarmClientError](repeating: .away, count: 1000))
        try await Bench.run(farm: farm, configure: { $0.grace = .seconds(100) }) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 0 refused")
            bench.worker.drain()
            try await bench.clock.sleeping(.seconds(100))
            try await bench.passTime(until: "leave")
        }
        #expect((2..<20).contains(farm.journal.count(of: "deliver 0 refused")))
        #expect(farm.pictures.isEmpty)
    }

    @Test("a cancelled worker stops at its next step and gives back what it holds")
    func cancellation() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0), try .of(1))
        try await Bench.withFolder { folder in
            let renderer = ScriptedRenderer(journal: farm.journal)
            let worker = WorkerService(
                calls: farm,
                renderer: renderer,
                configuration: WorkerConfiguration(name: "bench", dataFolder: folder),
                logger: .quiet
            )
            await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await worker.run() }
                try? await farm.journal.wait(for: "render 0")
                try? await farm.journal.wait(for: "claim 1")
                tasks.cancelAll()
                await #expect(throws: CancellationError.self) { try await tasks.waitForAll() }
            }
        }
        #expect(Set(farm.releases.map(\.reason)) == [.draining])
        #expect(farm.releases.count == 2)
        #expect(farm.pictures.isEmpty)
    }
}
