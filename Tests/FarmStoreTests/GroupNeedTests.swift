import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

/// When groups are made and ended, and what waits for them.
@Suite(.database, .timeLimit(.minutes(10))) struct GroupNeedTests {
    private static let memory = ModelMemory(
        sharded: 12 << 30,
        replicated: 2 << 30,
        working: 1 << 30
    )

    private func age(_ scene: GroupScene, _ column: String, by interval: String) async throws {
        try await scene.farm.pool.execute(
            """
            UPDATE worker_group SET \(raw: column) = \(raw: column) - interval '\(raw: interval)'
            """
        )
    }

    @Test("idle workers are reserved before those that are busy")
    func idleFirst() async throws {
        let scene = try await GroupScene(workers: 3)
        try await scene.farm.job()
        _ = try await scene.claimed("a")
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        #expect(try await scene.seats() == ["b", "c"])
    }

    @Test("a group whose first rank lacks what else is asked for serves nothing of it")
    func tags() async throws {
        var scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        for name in ["c", "d"] { try await scene.add(name) { $0.tags = ["amx"] } }
        _ = try await scene.job(group: 2) { $0.requirement.tags = ["amx"] }
        #expect(try await scene.store.runGroups().formed == 1)
        #expect(
            try await scene.store.groups().map { $0.members.map(\.name) } == [
                ["a", "b"], ["c", "d"],
            ]
        )
    }

    @Test("a model that no worker holds alone gets the smallest group that does")
    func oversize() async throws {
        var scene = try await GroupScene(workers: 0)
        for name in ["a", "b", "c", "d"] {
            try await scene.add(name) {
                $0.rendersAlone = false
                $0.memory = 8 << 30
                $0.modelMemory = Self.memory
            }
        }
        let job = try await scene.farm.job()
        _ = try await scene.store.runGroups()
        #expect(try await scene.group().size == 3)
        let why = try await scene.store.why(job: job)?.first?.cause.sentence
        #expect(why?.hasPrefix("the group of 3 for model flux in int8") == true)
        try await scene.form()
        _ = try await scene.claimed("a")
    }

    @Test("a model that all workers together do not hold waits for more of them, or for memory")
    func tooLarge() async throws {
        var scene = try await GroupScene(workers: 0)
        for name in ["a", "b"] {
            try await scene.add(name) {
                $0.rendersAlone = false
                $0.memory = 8 << 30
                $0.modelMemory = Self.memory
            }
        }
        let job = try await scene.farm.job()
        #expect(try await scene.store.runGroups() == GroupReport())
        let why = try await scene.store.why(job: job)?.first?.cause.sentence
        #expect(why?.hasPrefix("the group of 3 waits for 1 more worker") == true)
        try await scene.farm.pool.execute("UPDATE worker SET memory_bytes = 3::bigint << 30")
        #expect(
            try await scene.store.why(job: job)?.first?.cause
                == .noMemory(needed: (12 << 30) / 64 + (3 << 30), largest: 3 << 30)
        )
        try await scene.farm.pool.execute("UPDATE worker SET memory_bytes = 8::bigint << 30")
        // A third one makes the slices small enough.
        try await scene.add("c") {
            $0.rendersAlone = false
            $0.modelMemory = Self.memory
        }
        #expect(try await scene.store.runGroups().formed == 1)
    }

    @Test("a reservation that does not come to a group is given up")
    func expiry() async throws {
        let scene = try await GroupScene(workers: 2)
        let job = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await age(scene, "expires_at", by: "11 min")
        _ = try await scene.store.cancelJob(job, mode: .now, by: "ann")
        #expect(try await scene.store.runGroups().dissolved == 1)
        #expect(try await scene.store.groups().isEmpty)
        #expect(try await scene.member("a").order() == nil)
    }

    @Test("a group that nothing needs stays for a while, shorter where its members are waited for")
    func hysteresis() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let task = try await scene.claimed("a")
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.store.runGroups() == GroupReport())
        try await age(scene, "idle_at", by: "3 min")
        #expect(try await scene.store.runGroups() == GroupReport())
        let single = try await scene.farm.job()
        #expect(try await scene.store.runGroups().dissolved == 1)
        #expect(try await scene.claimed("b").job == single)
        #expect(try await scene.store.groups(includingDissolved: true).map(\.state) == [.dissolved])
    }

    @Test("a group that lacks members goes on with fewer where any class is fine")
    func fallback() async throws {
        let scene = try await GroupScene(workers: 3)
        let job = try await scene.job(group: 3)
        _ = try await scene.store.runGroups()
        try await scene.form()
        try await scene.lose("c")
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.store.runGroups().shrunk == 0)
        try await age(scene, "lacking_at", by: "3 min")
        #expect(try await scene.store.runGroups().shrunk == 1)
        let group = try await scene.group()
        #expect(group.size == 2 && group.wantedSize == 3)
        try await scene.form(["a", "b"])
        _ = try await scene.claimed("a")
        let events = try await scene.store.events(of: job, limit: 9)
        #expect(events.contains { $0.kind == "task.fell_back" && $0.data.contains("group of 2") })
        #expect(try await scene.store.auditTrail(limit: 9).contains { $0.action == "group.shrunk" })
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a group that lacks members waits for them where the class is to be the same")
    func noFallback() async throws {
        let scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 3) { $0.isSameClass = true }
        _ = try await scene.store.runGroups()
        try await scene.form()
        try await scene.lose("c")
        for _ in 0..<2 { _ = try await scene.store.runGroups() }
        try await age(scene, "lacking_at", by: "3 min")
        #expect(try await scene.store.runGroups().shrunk == 0)
        #expect(try await scene.group().size == 3)
    }

    @Test("an operator makes a group, which finishes what it holds before it is dissolved")
    func byHand() async throws {
        let scene = try await GroupScene(workers: 2)
        var wish = GroupWish()
        wish.workers = [try scene.member("b").id, try scene.member("a").id]
        wish.name = "mine"
        guard case .formed(let group) = try await scene.store.formGroup(wish, by: "ops") else {
            Issue.record("the group is refused")
            return
        }
        #expect(group.members.map(\.name) == ["b", "a"])
        guard case .refused = try await scene.store.formGroup(wish, by: "ops") else {
            Issue.record("its members are free no more")
            return
        }
        try await scene.form()
        try await scene.farm.job(tasks: 2)
        let task = try await scene.claimed("b")
        let drained = try await scene.store.dissolveGroup(group.id, now: false, by: "ops")
        #expect(drained?.state == .draining)
        #expect(try await scene.claim("b") == .none(.inGroup))
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.store.runGroups().dissolved == 1)
        _ = try await scene.claimed("a")
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a group that is dissolved at once gives back what it holds")
    func dissolvedNow() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let task = try await scene.claimed("a")
        let group = try await scene.group()
        let over = try await scene.store.dissolveGroup(group.id, now: true, by: "ops")
        #expect(over?.state == .dissolved)
        #expect(try await scene.farm.deliver(task) == .stale)
        #expect(try await scene.store.group(group.name)?.state == .dissolved)
        #expect(try await scene.store.dissolveGroup(group.id, now: true, by: "ops") == nil)
    }

    @Test("why a task waits names what its group lacks")
    func why() async throws {
        var scene = try await GroupScene(workers: 3)
        let job = try await scene.job(group: 4)
        func why() async throws -> String? {
            try await scene.store.why(job: job)?.first?.cause.sentence
        }
        let lacking =
            "the group of 4 waits for 1 more worker that holds model flux in int8 "
            + "(3 of 4: a, b, c)"
        #expect(try await why()?.hasPrefix(lacking) == true)
        try await scene.add("d")
        _ = try await scene.store.runGroups()
        for name in ["a", "b", "d"] { try await scene.member(name).say(.ready) }
        try await scene.member("c").say(.loading)
        #expect(
            try await why()
                == "the group of 4 for model flux in int8 in the pool 'default' forms: "
                + "a, b, c, d; rank 2 loads its slice"
        )
        try await scene.member("c").say(.ready)
        #expect(try await scene.store.why(job: job)?.first?.cause == .behind(tasks: 0))
    }
}
