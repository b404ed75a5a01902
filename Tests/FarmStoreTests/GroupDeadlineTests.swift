import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@testable import FarmModel

/// When the farm itself lets a job ask for a group, since it is wanted by a moment.
@Suite(.database, .timeLimit(.minutes(10))) struct GroupDeadlineTests {
    /// A picture that takes a worker of 1 TFLOP/s 100 s, nearly all of it denoising.
    private static let image = ImageCost(
        flops: 100e12,
        stepFlops: 9.9e12,
        steps: 10,
        tokens: 700,
        textTokens: 512,
        denoiseTokens: 7000,
        guidedSteps: 0,
        plainTokens: 700
    )

    /// A job of one such picture that is wanted in so many seconds.
    private func job(
        in seconds: Double,
        on scene: GroupScene,
        change: (inout JobSubmission) -> Void = { _ in }
    ) async throws -> JobID {
        try await scene.farm.job { submission in
            submission.tasks = [NewTask(cost: Self.image.flops)]
            submission.finishBy = Date(timeIntervalSinceNow: seconds)
            submission.costliestImage = Self.image
            change(&submission)
        }
    }

    private func size(_ job: JobID, on scene: GroupScene) async throws -> Int {
        try #require(try await scene.store.job(job)).requirement.groupSize
    }

    @Test("a job whose pictures' cost cannot be read keeps no group from being made")
    func unreadable() async throws {
        let scene = try await GroupScene(workers: 2)
        let old = try await job(in: 60, on: scene)
        _ = try await scene.job(group: 2)
        func store(_ cost: String) async throws {
            try await scene.farm.pool.execute(
                "UPDATE job SET costliest_image = \(raw: cost) WHERE id = \(old)"
            )
        }
        try await store("'{\"flops\": 1}'")
        let report = try await scene.store.runGroups()
        #expect(report.grouped == 0 && report.formed == 1)
        // As it was stored before the prompt's tokens were.
        let image = try FarmJSON.text(Self.image)
        try await store("'\(image)'::jsonb - 'text_tokens'")
        #expect(try await scene.store.runGroups().grouped == 1)
    }

    @Test("nothing is predicted of a model that was recorded without constants")
    func noConstants() async throws {
        var scene = try await GroupScene(workers: 0)
        for name in ["a", "b"] { try await scene.add(name) { $0.costConstants = "{}" } }
        _ = try await job(in: 60, on: scene)
        #expect(try await scene.store.runGroups() == GroupReport())
    }

    @Test("a picture that would be late alone is for a group, and the job says why")
    func late() async throws {
        let scene = try await GroupScene(workers: 4)
        let job = try await job(in: 60, on: scene)
        #expect(try await scene.store.runGroups().grouped == 1)
        let size = try await size(job, on: scene)
        #expect(size > 1)
        let group = try await scene.group()
        #expect(group.size == size && group.origin == .needed)
        let reason = "alone a picture takes 100 s, in a group of \(size) "
        let event = try #require(
            try await scene.store.events(of: job, limit: 9).first { $0.kind == "job.grouped" }
        )
        #expect(event.data.contains(reason) && event.data.contains(" s, wanted by 2"))
        let audit = try await scene.store.auditTrail(limit: 9).first { $0.action == "job.grouped" }
        #expect(audit?.detail.contains(reason) == true)
        let why = try await scene.store.why(job: job)?.first?.cause.sentence
        #expect(why?.contains("it takes a group since " + reason) == true)
        try await scene.form()
        let task = try await scene.claimed("a")
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.farm.violations() == [])
    }

    @Test("workers of several classes count for no group together, neither before it nor after")
    func classes() async throws {
        var scene = try await GroupScene(workers: 1)
        try await scene.add("z") { $0.numericClass = "another" }
        let job = try await job(in: 60, on: scene)
        #expect(try await scene.store.runGroups() == GroupReport())
        try await scene.add("b")
        #expect(try await scene.store.runGroups().grouped == 1)
        #expect(try await size(job, on: scene) == 2)
        #expect(try await scene.seats() == ["a", "b"])
        // what is there now can make none: the job is for workers alone once it is late
        let group = try await scene.group()
        try await scene.lose("b")
        _ = try await scene.store.dissolveGroup(group.id, now: true, by: "ops")
        try await scene.farm.pool.execute("UPDATE job SET finish_by = now() - interval '1 s'")
        #expect(try await scene.store.runGroups().grouped == 1)
        #expect(try await size(job, on: scene) == 1)
    }

    @Test("a picture that is in time alone, or wanted at no moment, is for workers alone")
    func alone() async throws {
        let scene = try await GroupScene(workers: 4)
        let early = try await job(in: 1000, on: scene)
        let plain = try await job(in: 0, on: scene) {
            $0.finishBy = nil
            $0.costliestImage = nil
        }
        let over = try await job(in: -1, on: scene)
        let same = try await job(in: 60, on: scene) { $0.isSameClass = true }
        let classed = try await job(in: 60, on: scene) { $0.requirement.numericClass = "alone" }
        #expect(try await scene.store.runGroups() == GroupReport())
        for job in [early, plain, over, same, classed] {
            #expect(try await size(job, on: scene) == 1)
        }
    }

    @Test("a job that asks for a group goes on asking for it, whatever is predicted later")
    func stays() async throws {
        let scene = try await GroupScene(workers: 4)
        let job = try await job(in: 60, on: scene)
        _ = try await scene.store.runGroups()
        let size = try await size(job, on: scene)
        try await scene.farm.pool.execute("UPDATE worker SET speed = 1e15")
        for wanted in ["1 h", "1 s"] {
            try await scene.farm.pool.execute(
                "UPDATE job SET finish_by = now() + interval '\(raw: wanted)'"
            )
            #expect(try await scene.store.runGroups() == GroupReport())
            #expect(try await self.size(job, on: scene) == size)
        }
    }

    @Test("a job whose group cannot be made goes back to workers alone once its moment has passed")
    func inVain() async throws {
        let scene = try await GroupScene(workers: 2)
        let job = try await job(in: 60, on: scene)
        _ = try await scene.store.runGroups()
        try await scene.lose("b")
        _ = try await scene.store.runGroups()
        let group = try await scene.group()
        _ = try await scene.store.dissolveGroup(group.id, now: true, by: "ops")
        #expect(try await scene.store.runGroups() == GroupReport())
        #expect(try await size(job, on: scene) == 2)
        try await scene.farm.pool.execute("UPDATE job SET finish_by = now() - interval '1 s'")
        #expect(try await scene.store.runGroups().grouped == 1)
        #expect(try await scene.claimed("a").job == job)
        let kinds = try await scene.store.events(of: job, limit: 9).map(\.kind)
        #expect(kinds.filter { $0 == "job.grouped" }.count == 2)
    }

    @Test("what a group of the pool measured of its network decides, and outlives the group")
    func measured() async throws {
        let scene = try await GroupScene(workers: 2)
        let first = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        for name in ["a", "b"] {
            try await scene.member(name).say(.ready) {
                var figures = GroupFigures()
                figures.latencySeconds = $0.rank == 0 ? 1e-4 : 1
                figures.bytesPerSecond = 1e9
                $0.figures = figures
            }
        }
        #expect(try await scene.group().state == .ready)
        _ = try await scene.store.cancelJob(first, mode: .now, by: "ann")
        let group = try await scene.group()
        _ = try await scene.store.dissolveGroup(group.id, now: true, by: "ops")
        // Sums that wait a second each make a group slower than a worker alone.
        let job = try await job(in: 60, on: scene)
        #expect(try await scene.store.runGroups().grouped == 0)
        try await scene.farm.pool.execute("UPDATE pool_link SET latency_seconds = 1e-4")
        #expect(try await scene.store.runGroups().grouped == 1)
        #expect(try await size(job, on: scene) == 2)
    }

    @Test("workers that are in a group already count as those that could take part")
    func seated() async throws {
        let scene = try await GroupScene(workers: 2)
        let first = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        _ = try await scene.store.cancelJob(first, mode: .now, by: "ann")
        let job = try await job(in: 60, on: scene)
        #expect(try await scene.store.runGroups().grouped == 1)
        #expect(try await scene.claimed("a").job == job)
    }
}
