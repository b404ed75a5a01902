import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Testing

@Suite(.timeLimit(.minutes(1))) struct WorkerLoopTests {
    @Test("the next task is claimed and its references fetched while the present one renders")
    func claimAhead() async throws {
        let farm = FakeCoordinator()
        let reference = farm.store(Data("a reference".utf8))
        let download = "download \(reference.rawValue.prefix(8))"
        farm.lay(try .of(0), try .of(1, references: [reference]), try .of(2))
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: download)
            try await bench.journal.wait(for: "render 0")
            #expect(bench.journal.count(of: "step 0 1") == 0)
            // Ahead by one: nothing more is asked for until the second one renders.
            #expect(bench.journal.count(of: "ask") == 2)
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "claim 2")
            #expect(bench.journal.has("decode 0", before: "claim 2"))
            #expect(bench.journal.count(of: "step 1 1") == 0)
            bench.renderer.allow(6)
            try await bench.journal.wait(for: "deliver 2")
        }
        #expect(farm.pictures.count == 3)
    }

    @Test("a picture is uploaded while the next one renders")
    func overlap() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0), try .of(1))
        farm.hold("deliver")
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(6)
            try await bench.journal.wait(for: "decode 1")
            #expect(bench.journal.count(of: "deliver 0") == 0)
            farm.letGo("deliver")
            try await bench.journal.wait(for: "deliver 1")
        }
        #expect(farm.journal.has("deliver 0", before: "deliver 1"))
    }

    @Test("heartbeats go on while a step computes, and say how far it is")
    func heartbeats() async throws {
        let farm = FakeCoordinator()
        let (task, ahead) = (try TaskAssignment.of(4), try TaskAssignment.of(5))
        farm.lay(task, ahead)
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(2)
            try await bench.journal.wait(for: "step 4 2")
            try await bench.journal.wait(for: "claim 5")
            for count in 2...3 {
                try await bench.clock.pass(.seconds(FakeCoordinator.heartbeatSeconds))
                try await bench.journal.wait(for: "heartbeat", count: count)
            }
            let beats = farm.heartbeats.suffix(2)
            for beat in beats {
                #expect(beat.state == .busy)
                #expect(beat.running.map(\.fence) == [task.fence])
                #expect(beat.running.map(\.image) == [4])
                #expect(beat.running.map(\.step) == [2])
                #expect(beat.running.map { $0.report?.stepsComputed } == [2])
                #expect(beat.running.map(\.phase) == [.denoising])
                #expect(beat.ahead == [ahead.fence])
            }
            // A preview is told once.
            #expect(beats.map { $0.running.first?.preview?.data } == [Data([1]), nil])
            bench.renderer.allow(4)
            try await bench.journal.wait(for: "deliver 5")
        }
    }

    @Test("the farm is told which conditions are at hand, once")
    func warmArtifacts() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(0)
        let old = ArtifactKey(.posterior, determinants: "of an earlier process")
        farm.lay(task)
        func keep(_ configuration: inout WorkerConfiguration) {
            let folder = configuration.dataFolder + "/conditions"
            try? FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            for name in [old.rawValue, "no key"] {
                _ = FileManager.default.createFile(
                    atPath: folder + "/" + name,
                    contents: Data("x".utf8)
                )
            }
        }
        try await Bench.run(farm: farm, configure: keep) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 0")
            try await bench.beat()
            try await bench.beat()
        }
        let new = ScriptedRenderer.key(of: try #require(task.images.first).settings)
        #expect(farm.registrations.map(\.warmArtifacts) == [[old]])
        #expect(farm.heartbeats.compactMap(\.warmArtifacts) == [[new, old]])
    }

    @Test("a cancelled attempt stops at its next step, is not decoded, and is given back")
    func cancel() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(0)
        farm.lay(task, try .of(1))
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "step 0 1")
            farm.answer(
                HeartbeatAnswer(
                    cancel: [CancelOrder(attempt: task.fence.attempt, mode: .now)],
                    heartbeatSeconds: FakeCoordinator.heartbeatSeconds
                )
            )
            try await bench.beat()
            bench.renderer.allow(4)
            try await bench.journal.wait(for: "deliver 1")
        }
        #expect(farm.journal.count(of: "stop 0 at 2") == 1)
        #expect(farm.journal.count(of: "decode 0") == 0)
        #expect(farm.releases.map(\.fence) == [task.fence])
        #expect(farm.releases.map(\.reason) == [.cancelled])
        #expect(farm.checkpoints.isEmpty)
        #expect(Array(farm.pictures.keys) == [1])
    }

    @Test("an attempt that is cancelled while it waits is given back without being begun")
    func cancelAhead() async throws {
        let farm = FakeCoordinator()
        let ahead = try TaskAssignment.of(1)
        farm.lay(try .of(0), ahead)
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "claim 1")
            try await bench.journal.wait(for: "render 0")
            farm.answer(
                HeartbeatAnswer(
                    cancel: [CancelOrder(attempt: ahead.fence.attempt, mode: .afterStep)],
                    heartbeatSeconds: FakeCoordinator.heartbeatSeconds
                )
            )
            try await bench.beat()
            try await bench.journal.wait(for: "release cancelled")
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 0")
        }
        #expect(farm.journal.count(of: "render 1") == 0)
    }

    @Test("a late upload is refused and changes nothing; the next task goes on")
    func stale() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0, 1), try .of(2))
        farm.refuse("deliver", [.stale])
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(9)
            try await bench.journal.wait(for: "deliver 2")
            #expect(bench.worker.counts.stale == 1)
            #expect(bench.worker.counts.delivered == 1)
        }
        #expect(Array(farm.pictures.keys) == [2])
        #expect(farm.releases.isEmpty && farm.failures.isEmpty)
    }

    @Test("an attempt that a heartbeat calls stale stops at its next step and is not told of")
    func staleByHeartbeat() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(0)
        farm.lay(task)
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "render 0")
            farm.answer(
                HeartbeatAnswer(
                    cancel: [],
                    stale: [task.fence.attempt],
                    heartbeatSeconds: FakeCoordinator.heartbeatSeconds
                )
            )
            try await bench.beat()
            bench.renderer.allow(1)
            try await bench.journal.wait(for: "stop 0 at 1")
            #expect(bench.worker.counts.stale == 1)
            // What was computed until it stopped is lost, and nobody wanted it to.
            farm.lay(try .of(1))
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 1")
            try await bench.beat()
        }
        let figures = farm.heartbeats.compactMap(\.figures)
        #expect(figures.contains { $0.lostToFailureSeconds > 0 })
        #expect(figures.allSatisfy { $0.lostToPreemptionSeconds == 0 })
        #expect(Array(farm.pictures.keys) == [1] && farm.checkpoints.isEmpty)
        #expect(farm.releases.isEmpty && farm.failures.isEmpty)
    }

    @Test("a delivery that ends an attempt is not dropped for a heartbeat that crosses it")
    func crossing() async throws {
        let farm = FakeCoordinator()
        let task = try TaskAssignment.of(0)
        farm.lay(task)
        farm.hold("deliver")
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "hold deliver")
            farm.answer(
                HeartbeatAnswer(
                    cancel: [],
                    stale: [task.fence.attempt],
                    heartbeatSeconds: FakeCoordinator.heartbeatSeconds
                )
            )
            try await bench.beat()
            #expect(bench.worker.counts.stale == 0)
            farm.letGo("deliver")
            try await bench.journal.wait(for: "deliver 0")
        }
        #expect(farm.reports.map(\.stepsComputed) == [3])
        #expect(Array(farm.pictures.keys) == [0])
    }

    @Test("a worker whose renderer hangs gives back what waits behind it, and takes nothing new")
    func hanging() async throws {
        let farm = FakeCoordinator()
        let (task, ahead) = (try TaskAssignment.of(0), try TaskAssignment.of(1))
        farm.lay(task, ahead)
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "render 0")
            try await bench.journal.wait(for: "claim 1")
            farm.answer(
                HeartbeatAnswer(
                    cancel: [],
                    stale: [task.fence.attempt],
                    heartbeatSeconds: FakeCoordinator.heartbeatSeconds
                )
            )
            try await bench.beat()
            try await bench.journal.wait(for: "release not_begun")
            farm.lay(try .of(2))
            try await bench.beat()
            #expect(bench.journal.count(of: "ask") == 2)
            // The renderer comes back: it is free for the next.
            bench.renderer.allow(4)
            try await bench.journal.wait(for: "deliver 2")
        }
        #expect(farm.releases.map(\.fence) == [ahead.fence])
        #expect(Array(farm.pictures.keys) == [2])
    }

    @Test("with a coordinator that is away, rendering goes on, and everything is told afterwards")
    func away() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0), try .of(1))
        farm.refuse("deliver", [FarmClientError](repeating: .away, count: 8))
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(6)
            try await bench.journal.wait(for: "decode 1")
            try await bench.passTime(until: "deliver 1")
        }
        #expect(farm.journal.count(of: "deliver 0 refused") == 8)
        #expect(farm.journal.has("decode 1", before: "deliver 0"))
        #expect(farm.pictures.count == 2)
        #expect(farm.reports.map(\.stepsComputed) == [3, 3])
    }

    @Test("a coordinator that forgot the worker gets it anew, and what it holds goes on")
    func forgotten() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0))
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "render 0")
            farm.refuse("heartbeat", [.unknown])
            try await bench.clock.pass(.seconds(FakeCoordinator.heartbeatSeconds))
            try await bench.journal.wait(for: "register", count: 2)
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 0")
        }
        #expect(farm.pictures.count == 1)
    }

    @Test(
        "a coordinator without final deliveries is told the end of an attempt by itself",
        arguments: [true, false]
    )
    func completion(isFinal: Bool) async throws {
        let farm = FakeCoordinator()
        if !isFinal { farm.can([]) }
        farm.lay(try .of(0, 1))
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(6)
            try await bench.journal.wait(for: isFinal ? "deliver 1" : "complete")
        }
        #expect(farm.journal.count(of: "complete") == (isFinal ? 0 : 1))
        #expect(farm.reports.map(\.stepsComputed) == [6])
    }

    @Test("a failed task is reported with its class, and the worker goes on")
    func failure() async throws {
        let farm = FakeCoordinator()
        farm.lay(try .of(0, prompt: "bad"), try .of(1))
        let failure = RenderFailure(.deterministic, "no way")
        try await Bench.run(failing: ["bad": failure], farm: farm) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 1")
        }
        #expect(farm.failures.map(\.failureClass) == [.deterministic])
        #expect(farm.failures.map(\.message) == ["no way"])
    }

    @Test("a reference that the farm lost is a failure that may pass")
    func missingBlob() async throws {
        let farm = FakeCoordinator()
        let lost = BlobDigest(ofText: "lost")
        farm.lay(try .of(0, references: [lost]), try .of(1))
        try await Bench.run(farm: farm) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "deliver 1")
        }
        #expect(farm.failures.map(\.failureClass) == [.transient])
        #expect(farm.failures.first?.message.contains("not in the blob store") == true)
        #expect(farm.journal.count(of: "render 0") == 0)
    }

    @Test("a failure names the image that it is of, before or while it renders")
    func failedImage() async throws {
        let farm = FakeCoordinator()
        var unfetched = try TaskAssignment.of(0, 1)
        unfetched.images[1] =
            try #require(
                try TaskAssignment.of(1, references: [BlobDigest(ofText: "lost")]).images.first
            )
        var broken = try TaskAssignment.of(2, 3)
        broken.images[1] = try #require(try TaskAssignment.of(3, prompt: "bad").images.first)
        farm.lay(unfetched, broken)
        let failure = RenderFailure(.deterministic, "no way")
        try await Bench.run(failing: ["bad": failure], farm: farm) { bench in
            bench.renderer.allow(3)
            try await bench.journal.wait(for: "fail", count: 2)
        }
        #expect(farm.failures.map(\.image) == [1, 3])
        #expect(farm.journal.count(of: "deliver 2") == 1)
    }

    @Test("a reference that comes with other bytes is refused")
    func otherBytes() async throws {
        let farm = FakeCoordinator()
        let digest = BlobDigest(ofText: "what was asked for")
        farm.store(Data("something else".utf8), as: digest)
        farm.lay(try .of(0, references: [digest]))
        try await Bench.run(farm: farm) { bench in
            try await bench.journal.wait(for: "fail")
        }
        #expect(farm.failures.first?.message.contains("other bytes") == true)
    }
}
