import FarmModel
import FarmWorker
import FoundationEssentials
import Testing

@Suite(.timeLimit(.minutes(1))) struct CheckpointTests {
    @Test("a checkpoint is due after the least interval, and after twenty times its cost")
    func schedule() {
        var schedule = CheckpointSchedule(leastInterval: 5, costFactor: 20)
        #expect(
            (1...5).map { _ in schedule.noteStep(seconds: 1) } == [
                false, false, false, false, true,
            ]
        )
        schedule.noteCheckpoint(cost: 0.5)
        #expect(schedule.interval == 10)
        #expect((1...10).map { _ in schedule.noteStep(seconds: 1) }.firstIndex(of: true) == 9)
        schedule.noteCheckpoint(cost: 0.01)
        #expect(schedule.interval == 5)
    }

    @Test("checkpoints are saved as work adds up, and what the last step would repeat is not")
    func periodic() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(3, steps: 7))
        try await Bench.run(stepSeconds: 2.5, farm: farm) { bench in
            bench.renderer.allow(7)
            try await bench.journal.wait(for: "deliver 3")
        }
        // A later checkpoint replaces one that was not yet sent.
        #expect(Set([2, 4, 6]).isSuperset(of: farm.checkpoints.map(\.request.step)))
        #expect(farm.checkpoints.allSatisfy { $0.request.imageIndex == 3 })
        #expect(farm.checkpoints.allSatisfy { $0.request.numericClass == "class" })
        #expect(farm.checkpoints.allSatisfy { $0.bytes == Data(String($0.request.step).utf8) })
    }

    @Test("an image goes on from its checkpoint, and only the steps after it are computed")
    func resume() async throws {
        let farm = FakeCoordinator()
        let offer = CheckpointOffer(
            imageIndex: 1,
            digest: farm.store(Data("4".utf8)),
            step: 4,
            numericClass: "class"
        )
        farm.lay(try .of(0, 1, steps: 6, checkpoints: [offer]))
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(8)
            try await bench.journal.wait(for: "deliver 1")
            #expect(bench.worker.counts.resumed == 1)
        }
        #expect(farm.journal.count(of: "step 1 4") == 0)
        #expect(farm.journal.count(of: "step 1 5") == 1)
        #expect(farm.reports.map(\.stepsComputed) == [8])
    }

    /// A checkpoint that cannot be used, and the words that say why.
    struct Refusal: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var numericClass: String
        var isStored: Bool
        var isDamaged: Bool
        var words: String
    }

    @Test(
        "a checkpoint that cannot be used is refused by name, and the image begun anew",
        arguments: [
            Refusal(
                testDescription: "another class",
                numericClass: "other",
                isStored: true,
                isDamaged: false,
                words: "numeric class other, this worker of class"
            ),
            Refusal(
                testDescription: "missing",
                numericClass: "class",
                isStored: false,
                isDamaged: false,
                words: "the checkpoint of step 2 is refused"
            ),
            Refusal(
                testDescription: "other bytes",
                numericClass: "class",
                isStored: true,
                isDamaged: true,
                words: "other bytes"
            ),
        ]
    )
    func refusal(_ refusal: Refusal) async throws {
        let farm = FakeCoordinator()
        let digest = BlobDigest(ofText: "2")
        if refusal.isStored {
            farm.store(Data((refusal.isDamaged ? "3" : "2").utf8), as: digest)
        }
        let offer = CheckpointOffer(
            imageIndex: 0,
            digest: digest,
            step: 2,
            numericClass: refusal.numericClass
        )
        farm.lay(try .of(0, checkpoints: [offer]))
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 0")
        }
        #expect(farm.reports.map(\.stepsComputed) == [3])
        let lines = farm.heartbeats.flatMap(\.log)
        #expect(lines.contains { $0.level == .warning && $0.text.contains(refusal.words) })
    }
}
