import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Testing

@Suite(.timeLimit(.minutes(1))) struct ParkTests {
    private func order(_ task: TaskAssignment) -> HeartbeatAnswer {
        var answer = HeartbeatAnswer(
            cancel: [],
            heartbeatSeconds: FakeCoordinator.heartbeatSeconds
        )
        answer.park = [task.fence.attempt]
        return answer
    }

    @Test("an attempt that makes room stops at its next step, with a checkpoint of that very step")
    func park() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(7, steps: 9)
        farm.lay(task)
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(2)
            try await bench.journal.wait(for: "step 7 2")
            farm.answer(order(task))
            try await bench.beat()
            farm.lay(try .of(8))
            bench.renderer.allow(4)
            try await bench.journal.wait(for: "deliver 8")
        }
        #expect(farm.journal.has("checkpoint 7 at 3", before: "release parked"))
        #expect(farm.journal.has("stop 7 at 3", before: "render 8"))
        let release = try #require(farm.releases.first)
        #expect(release.fence == task.fence)
        #expect(release.image == 7 && release.step == 3)
        #expect(release.report?.stepsComputed == 3)
        #expect(farm.registrations.first?.parks == true)
    }

    @Test("a picture whose steps are done is delivered, whatever was asked for meanwhile")
    func lastStep() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(0, 1)
        farm.lay(task)
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(2)
            try await bench.journal.wait(for: "step 0 2")
            farm.answer(order(task))
            try await bench.beat()
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "release parked")
        }
        #expect(farm.journal.has("deliver 0", before: "release parked"))
        #expect(farm.releases.map(\.image) == [nil])
        #expect(farm.checkpoints.isEmpty)
        #expect(farm.journal.count(of: "render 1") == 0)
    }

    @Test("what is only claimed ahead is not parked, and an unknown attempt is passed over")
    func ahead() async throws {
        let farm = FakeCoordinator()
        let (task, ahead) = (try TaskAssignment.of(0), try TaskAssignment.of(1))
        farm.lay(task, ahead)
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "render 0")
            try await bench.journal.wait(for: "claim 1")
            var answer = order(ahead)
            answer.park?.append(.random())
            farm.answer(answer)
            try await bench.beat()
            bench.renderer.allow(6)
            try await bench.journal.wait(for: "deliver 1")
        }
        #expect(farm.releases.isEmpty)
    }

    @Test("a lease that is over by the time of the park drops the attempt")
    func stale() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(0, steps: 9)
        farm.lay(task)
        farm.refuse("release", [.stale])
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "step 0 1")
            farm.answer(order(task))
            try await bench.beat()
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "release parked refused")
            farm.lay(try .of(1))
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 1")
        }
        #expect(farm.releases.isEmpty)
    }
}
