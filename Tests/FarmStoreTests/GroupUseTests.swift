import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

/// What groups serve, and what keeps them.
@Suite(.database, .timeLimit(.minutes(10))) struct GroupUseTests {
    private func ready(_ scene: GroupScene, _ names: [String]) async throws {
        _ = try await scene.job(group: names.count)
        _ = try await scene.store.runGroups()
        try await scene.form(names)
        let task = try await scene.claimed(names[0])
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
    }

    @Test("a needed group serves tasks of one worker where no worker in no group can")
    func singles() async throws {
        var scene = try await GroupScene(workers: 2)
        try await ready(scene, ["a", "b"])
        let job = try await scene.farm.job()
        #expect(try await scene.claimed("a").job == job)
        try await scene.add("c") { $0.precision = "float32" }
        let packed = try await scene.farm.job { $0.requirement.precision = "int8" }
        let wide = try await scene.farm.job { $0.requirement.precision = "float32" }
        #expect(try await scene.claimed("c").job == wide)
        #expect(try await scene.claimed("a").job == packed)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a group whose members alone could do what waits finishes what it holds, and ends")
    func busyWithSingles() async throws {
        let scene = try await GroupScene(workers: 2)
        try await ready(scene, ["a", "b"])
        try await scene.farm.job(tasks: 2)
        let task = try await scene.claimed("a")
        #expect(try await scene.store.runGroups() == GroupReport())
        try await scene.farm.pool.execute(
            "UPDATE worker_group SET idle_at = idle_at - interval '3 min'"
        )
        #expect(try await scene.store.runGroups() == GroupReport())
        #expect(try await scene.group().state == .draining)
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.store.runGroups().dissolved == 1)
    }

    @Test("what a group could not serve does not keep it")
    func foreignWork() async throws {
        let scene = try await GroupScene(workers: 2)
        try await ready(scene, ["a", "b"])
        _ = try await scene.job(group: 2) { $0.requirement.pool = "night" }
        _ = try await scene.job(group: 2) { $0.requirement.tags = ["amx"] }
        _ = try await scene.job(group: 2) { $0.requirement.numericClass = "another" }
        _ = try await scene.job(group: 3)
        #expect(try await scene.store.runGroups() == GroupReport())
        try await scene.farm.pool.execute(
            "UPDATE worker_group SET idle_at = idle_at - interval '11 min'"
        )
        #expect(try await scene.store.runGroups().dissolved == 1)
    }

    @Test("a group of another class than a job's does not serve it")
    func otherClass() async throws {
        let scene = try await GroupScene(workers: 2)
        try await ready(scene, ["a", "b"])
        _ = try await scene.job(group: 2) { $0.requirement.numericClass = "another" }
        guard case .none = try await scene.claim("a") else {
            Issue.record("a group claims what is of another class")
            return
        }
    }

    @Test("a job of a group's class gets a group of workers whose class that is")
    func ownClass() async throws {
        var scene = try await GroupScene(workers: 1)
        for name in ["y", "z"] { try await scene.add(name) { $0.numericClass = "other" } }
        let job = try await scene.job(group: 2) { $0.requirement.numericClass = "alone/tp2" }
        func shortage(of other: JobID? = nil) async throws -> GroupShortage? {
            let causes = try await scene.store.why(job: other ?? job)
            guard case .noGroup(let shortage) = causes?.first?.cause else { return nil }
            return shortage
        }
        #expect(try await scene.store.runGroups() == GroupReport())
        var lack = try #require(try await shortage())
        #expect(lack.members == ["a"] && lack.missing == 1 && lack.isFinal)
        // A group of the others renders, but not this.
        let foreign = try await scene.job(group: 2) { $0.requirement.numericClass = "other/tp2" }
        #expect(try await scene.store.runGroups().formed == 1)
        #expect(try await scene.seats() == ["y", "z"])
        lack = try #require(try await shortage())
        #expect(lack.isOfOtherClass && lack.isFinal)
        #expect(lack.hindrance == "renders in the class other, and it asks for alone/tp2")
        _ = try await scene.store.cancelJob(foreign, mode: .now, by: "ann")
        try await scene.add("b")
        // A group of two is of no use for a class of three.
        let larger = try await scene.job(group: 2) { $0.requirement.numericClass = "alone/tp3" }
        _ = try await scene.store.cancelJob(job, mode: .now, by: "ann")
        _ = try await scene.store.runGroups()
        #expect(try await scene.seats() == ["y", "z"])
        _ = try await scene.store.cancelJob(larger, mode: .now, by: "ann")
        let again = try await scene.job(group: 2) { $0.requirement.numericClass = "alone/tp2" }
        #expect(try #require(try await shortage(of: again)).isFinal == false)
        #expect(try await scene.store.runGroups().formed == 1)
        try await scene.form(["a", "b"])
        #expect(try await scene.claimed("a").job == again)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("who takes the seat of a leader has the tags that its tasks ask for")
    func leadingSpare() async throws {
        var scene = try await GroupScene(workers: 0)
        for name in ["a", "b", "d"] { try await scene.add(name) { $0.tags = ["amx"] } }
        _ = try await scene.job(group: 2) { $0.requirement.tags = ["amx"] }
        _ = try await scene.store.runGroups()
        try await scene.add("c")
        try await scene.form(["a", "b"])
        try await scene.lose("a")
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["d", "b"])
        try await scene.lose("b")
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["d", "c"])
    }

    @Test("a group that went on with fewer members grows when there are enough again")
    func growth() async throws {
        var scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 3, tasks: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        try await scene.lose("c")
        for _ in 0..<2 { _ = try await scene.store.runGroups() }
        try await scene.farm.pool.execute(
            "UPDATE worker_group SET lacking_at = lacking_at - interval '3 min'"
        )
        #expect(try await scene.store.runGroups().shrunk == 1)
        try await scene.form(["a", "b"])
        let task = try await scene.claimed("a")
        try await scene.add("d")
        #expect(try await scene.store.runGroups() == GroupReport())
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.store.runGroups().renewed == 1)
        let group = try await scene.group()
        #expect(group.size == 3 && group.members.map(\.name) == ["a", "b", "d"])
        try await scene.form(["a", "b", "d"])
        #expect(try await scene.group().state == .ready)
        #expect(try await scene.farm.violations() == [])
    }
}
