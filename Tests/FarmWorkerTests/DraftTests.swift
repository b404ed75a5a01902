import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Testing

@Suite(.timeLimit(.minutes(2))) struct DraftTests {
    private func draft(_ index: Int, steps: Int = 9, after step: Int) throws -> TaskAssignment {
        var task = try TaskAssignment.of(index, steps: steps)
        task.images[0].draftSteps = step
        return task
    }

    @Test(
        "an image stops after the step of its draft, with a checkpoint of that step and a picture"
    )
    func draft() async throws {
        let farm = FakeCoordinator()
        let task = try draft(7, after: 3)
        farm.lay(task)
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "draft 7 at 3")
            farm.lay(try .of(8))
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 8")
        }
        #expect(farm.journal.has("checkpoint 7 at 3", before: "draft 7 at 3"))
        #expect(farm.journal.has("stop 7 at 3", before: "render 8"))
        let told = try #require(farm.drafts.first)
        #expect(told.request.fence == task.fence)
        #expect(told.request.type == .jpeg)
        #expect(told.picture == Data("draft 3".utf8))
        #expect(told.request.report?.stepsComputed == 3)
        #expect(farm.pictures[7] == nil && farm.releases.isEmpty)
    }

    @Test("an order to make room that comes with the draft's step leaves the draft")
    func park() async throws {
        let farm = FakeCoordinator()
        let task = try draft(0, after: 2)
        farm.lay(task)
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "step 0 1")
            var answer = HeartbeatAnswer(
                cancel: [],
                heartbeatSeconds: FakeCoordinator.heartbeatSeconds
            )
            answer.park = [task.fence.attempt]
            farm.answer(answer)
            try await bench.beat()
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "draft 0 at 2")
        }
        #expect(farm.releases.isEmpty)
    }

    @Test("a draft that is refused fails its attempt; one whose lease is over drops it")
    func refused() async throws {
        let farm = FakeCoordinator()
        let first = try draft(0, after: 1)
        farm.lay(first)
        farm.refuse("draft", [.refused(ProblemDetails(.wrongState))])
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "fail")
            farm.refuse("draft", [.stale])
            farm.lay(try draft(1, after: 1))
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "draft 1 at 1 refused")
            farm.lay(try .of(2))
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 2")
        }
        #expect(farm.failures.map(\.image) == [0])
        #expect(farm.failures.first?.message.contains("the draft was not taken") == true)
        #expect(farm.drafts.isEmpty)
    }

    @Test("a simulated worker makes drafts too, and goes on from their checkpoints")
    func simulated() async throws {
        let farm = FakeCoordinator()
        let task = try draft(0, after: 4)
        farm.lay(task)
        try await Bench.withFolder { folder in
            let worker = SimulatedWorker(
                calls: farm,
                renderer: SimulatedRenderer.Configuration(model: .fake()) { _ in 0.003 },
                configuration: WorkerConfiguration(name: "sim", dataFolder: folder),
                logger: .quiet
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await worker.run() }
                try await farm.journal.wait(for: "draft 0 at 4")
                var kept = task
                kept.images[0].draftSteps = nil
                kept.fence.epoch = 2
                kept.fence.attempt = .random()
                kept.checkpoints = [try farm.offer()]
                farm.lay(kept)
                try await farm.journal.wait(for: "deliver 0")
                worker.drain()
                try await group.waitForAll()
            }
        }
        #expect(farm.reports.map(\.stepsComputed) == [4, 5])
        let told = try #require(farm.drafts.first)
        #expect(told.request.type == .png)
        let image = try #require(task.images.first)
        #expect(try farm.pictures[0] == SimulatedRenderer.picture(of: image, model: .fake()))
    }
}
