import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

/// What groups must not keep waiting for ever: other work, and the group itself.
@Suite(.database, .timeLimit(.minutes(10))) struct GroupStarvationTests {
    /// A group of the first workers that is busy with the first of many tasks, and was there for long.
    private func busyGroup(_ scene: GroupScene, size: Int = 2) async throws -> ClaimedTask {
        _ = try await scene.job(group: size, tasks: 9)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let task = try await scene.claimed("a")
        try await age(scene, "worker_group", "formed_at")
        return task
    }

    private func age(_ scene: GroupScene, _ table: String, _ column: String) async throws {
        try await scene.farm.pool.execute(
            """
            UPDATE \(raw: table) SET \(raw: column) = \(raw: column) - interval '2 h'
            """
        )
    }

    /// Lets what waits have waited for longer than the age bound, but for the job.
    private func starve(_ scene: GroupScene, _ job: JobID) async throws {
        try await scene.farm.pool.execute(
            """
            UPDATE head SET queued_at = now() - interval '2 h', served_at = NULL
            WHERE job_id = \(job)
            """
        )
    }

    private func deliver(_ task: ClaimedTask, _ scene: GroupScene) async throws {
        let outcome = try await scene.farm.deliver(task, final: AttemptTotals())
        #expect(outcome == .delivered(.succeeded))
    }

    @Test("tasks that only members alone can render end a busy group", arguments: [true, false])
    func singles(_ isOfClass: Bool) async throws {
        var scene = try await GroupScene(workers: 1)
        try await scene.add("b") { $0.tags = ["amx"] }
        let task = try await busyGroup(scene)
        let single = try await scene.farm.job {
            if isOfClass {
                $0.requirement.numericClass = "alone"
            } else {
                $0.requirement.tags = ["amx"]
            }
        }
        #expect(try await scene.store.runGroups() == GroupReport())
        try await starve(scene, single)
        _ = try await scene.store.runGroups()
        #expect(try await scene.group().state == .draining)
        #expect(try await scene.group().reason?.contains("waited too long") == true)
        try await deliver(task, scene)
        // Its workers are not taken again before they have claimed.
        let report = try await scene.store.runGroups()
        #expect(report.dissolved == 1 && report.formed == 0)
        #expect(try await scene.claimed("b").job == single)
        try await scene.farm.pool.execute("UPDATE worker SET group_unfit_until = NULL")
        #expect(try await scene.store.runGroups().formed == 1)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("tasks of a larger group end a smaller one that is kept busy")
    func larger() async throws {
        let scene = try await GroupScene(workers: 3)
        let task = try await busyGroup(scene)
        let wide = try await scene.job(group: 3)
        try await starve(scene, wide)
        _ = try await scene.store.runGroups()
        #expect(try await scene.group().state == .draining)
        try await deliver(task, scene)
        let report = try await scene.store.runGroups()
        #expect(report.dissolved == 1 && report.formed == 1)
        #expect(try await scene.group().size == 3)
        try await scene.form()
        #expect(try await scene.claimed("a").job == wide)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a group that no number of its workers could make ends no other")
    func vain() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await busyGroup(scene)
        try await starve(scene, try await scene.job(group: 3))
        #expect(try await scene.store.runGroups() == GroupReport())
    }

    @Test("a named group that lacks a member for long keeps no other from being made")
    func lackingMember() async throws {
        var scene = try await GroupScene(workers: 2)
        for name in ["y", "z"] {
            try await scene.add(name) { $0.group = GroupOffer(name: "pair", size: 2) }
        }
        _ = try await scene.store.runGroups()
        try await scene.form(["y", "z"])
        try await scene.lose("z")
        let job = try await scene.job(group: 2) { $0.isSameClass = true }
        for _ in 0..<2 { #expect(try await scene.store.runGroups().formed == 0) }
        try await scene.farm.pool.execute(
            "UPDATE worker_group SET lacking_at = now() - interval '3 min'"
        )
        #expect(try await scene.store.runGroups().formed == 1)
        let cause = try await scene.store.why(job: job)?.first?.cause
        guard case .noGroup(let shortage) = cause else {
            Issue.record("\(String(describing: cause))")
            return
        }
        #expect(shortage.members == ["a", "b"] && !shortage.isFinal)
        try await scene.form(["a", "b"])
        #expect(try await scene.claimed("a").job == job)
    }

    @Test("a group whose member a spare can replace is waited for")
    func spare() async throws {
        var scene = try await GroupScene(workers: 2)
        let job = try await scene.job(group: 2) { $0.isSameClass = true }
        _ = try await scene.store.runGroups()
        try await scene.lose("b")
        func shortage() async throws -> GroupShortage? {
            let cause = try await scene.store.why(job: job)?.first?.cause
            guard case .noGroup(let shortage) = cause else { return nil }
            return shortage
        }
        let final = try #require(try await shortage())
        #expect(final.missing == 1 && final.isFinal)
        try await scene.add("c")
        let passing = try #require(try await shortage())
        #expect(passing.missing == 1 && !passing.isFinal)
    }

    @Test("a spare that is busy puts off the start of its group, and the end of the reservation")
    func busySpare() async throws {
        var scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.add("c")
        try await scene.farm.job { $0.tasks = [NewTask(cost: 2000e12)] }
        _ = try await scene.claimed("c")
        try await scene.lose("b")
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["a", "c"])
        let row = try #require(
            try await scene.farm.pool.query(
                """
                SELECT extract(epoch FROM starts_at - now())::double precision AS start,
                    extract(epoch FROM expires_at - now())::double precision AS until
                FROM worker_group
                """
            ).first
        )
        let start = try row.decode("start", as: Double.self)
        #expect((1900...2001).contains(start))
        #expect(try row.decode("until", as: Double.self) > start + 500)
    }

    @Test("a worker that is reserved gives back what it holds ahead, and ends as its images do")
    func ahead() async throws {
        let scene = try await GroupScene(workers: 2)
        try await scene.farm.job { $0.tasks = [NewTask(imageCount: 4, cost: 400e12)] }
        let held = try await scene.claimed("b")
        let behind = try await scene.farm.job { $0.tasks = [NewTask(cost: 900e12)] }
        #expect(try await scene.claimed("b").job == behind)
        // One image of four is delivered, of the next one half is rendered.
        _ = try await scene.farm.deliver(held)
        var progress = AttemptProgress(fence: held.fence)
        progress.image = 1
        progress.step = 5
        progress.steps = 10
        try await scene.member("b").beat(running: [progress])
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        #expect(try await scene.seats() == ["a", "b"])
        let row = try #require(
            try await scene.farm.pool.query(
                """
                SELECT extract(epoch FROM starts_at - now())::double precision AS start,
                    ARRAY(SELECT attempt_id FROM lease) AS held FROM worker_group
                """
            ).first
        )
        #expect((240...251).contains(try row.decode("start", as: Double.self)))
        #expect(try row.decode("held", as: [AttemptID].self) == [held.fence.attempt])
        #expect(try await scene.farm.violations() == [])
    }
}
