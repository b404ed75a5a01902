import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct GroupTests {
    @Test("workers that are needed together form, and the first rank alone claims")
    func formation() async throws {
        let scene = try await GroupScene(workers: 3)
        let job = try await scene.job(group: 2, tasks: 2)
        #expect(try await scene.store.runGroups().formed == 1)
        #expect(try await scene.store.runGroups() == GroupReport())
        let group = try await scene.group()
        #expect(group.state == .forming)
        #expect(group.origin == .needed)
        #expect(group.members.map(\.name) == ["a", "b"])
        let order = try #require(try await scene.member("b").order())
        #expect(order.rank == 1 && order.size == 2 && order.epoch == 1 && !order.isReserved)
        #expect(order.secret.count == 32)
        #expect(order.members.map(\.worker) == ["a", "b"])
        #expect(order.members.allSatisfy { $0.address == nil })
        #expect(try await scene.member("a").beat().isForming)
        #expect(try await scene.member("c").order() == nil)
        for name in ["a", "b"] { #expect(try await scene.claim(name) == .none(.inGroup)) }
        try await scene.form()
        #expect(try await scene.group().state == .ready)
        let members = try #require(try await scene.member("a").order()).members
        #expect(members.map(\.address) == [Data([0, 0, 255]), Data([1, 0, 255])])
        #expect(try await scene.claim("b") == .none(.inGroup))
        guard case .none(.notEligible(.noGroup, _)) = try await scene.claim("c") else {
            Issue.record("a worker alone is not a group")
            return
        }
        let task = try await scene.claimed("a")
        #expect(try await scene.group().state == .busy)
        let totals = AttemptTotals(stepsComputed: 4)
        #expect(try await scene.farm.deliver(task, final: totals) == .delivered(.succeeded))
        let classes: [String] = try await scene.farm.pool.query(
            "SELECT numeric_class FROM attempt WHERE job_id = \(job)"
        ).map { try $0.decode("numeric_class") }
        #expect(classes == ["alone/tp2"])
        let image = try await scene.farm.imageState(job)
        #expect(image.output?.numericClass == "alone/tp2")
        let leader = try #require(try await scene.store.worker(try scene.member("a").id))
        #expect(leader.speed == 3e12)
        #expect(leader.seat?.rank == 0 && leader.seat?.servedSize == 2)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("named workers form their group when enough are there")
    func named() async throws {
        var scene = try await GroupScene(workers: 0)
        try await scene.add("a") {
            $0.group = GroupOffer(name: "wide", size: 2)
            $0.rendersAlone = false
        }
        #expect(try await scene.store.runGroups().formed == 0)
        try await scene.add("b") {
            $0.group = GroupOffer(name: "wide", size: 2)
            $0.rendersAlone = false
        }
        #expect(try await scene.store.runGroups().formed == 1)
        let group = try await scene.group()
        #expect(group.name == "wide" && group.origin == .named)
        try await scene.form()
        // It serves what asks for one worker, too.
        try await scene.farm.job()
        _ = try await scene.claimed("a")
    }

    @Test("a member that breaks off ends the epoch, and what the group held is ready at once")
    func broken() async throws {
        let scene = try await GroupScene(workers: 2)
        let job = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let old = try #require(try await scene.member("b").order())
        let task = try await scene.claimed("a")
        let order = try await scene.member("b").say(.broken) {
            $0.reason = "rank 0 closed its connection"
            $0.lostRank = 0
        }
        let new = try #require(order)
        #expect(new.epoch == old.epoch + 1)
        #expect(new.secret != old.secret)
        #expect(new.members.allSatisfy { $0.address == nil })
        let group = try await scene.group()
        #expect(group.state == .forming)
        #expect(group.reason == "the worker b broke off: rank 0 closed its connection")
        let counts = try await scene.farm.pool.query(
            "SELECT failures, lapses FROM task WHERE job_id = \(job)"
        ).first
        #expect(try counts?.decode("failures", as: Int.self) == 0)
        #expect(try counts?.decode("lapses", as: Int.self) == 0)
        // Nothing of the old lease counts.
        #expect(try await scene.farm.deliver(task) == .stale)
        #expect(try await scene.store.worker(try scene.member("a").id)?.numericClass == "alone")
        try await scene.form()
        let again = try await scene.claimed("a")
        #expect(again.fence.task == task.fence.task && again.fence.epoch == task.fence.epoch + 1)
        #expect(
            try await scene.farm.deliver(again, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.farm.violations() == [])
    }

    @Test("what is said of an epoch that is over counts for nothing")
    func fence() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        let b = try scene.member("b")
        let old = try #require(try await b.order())
        try await scene.member("a").say(.broken)
        for phase in [GroupPhase.ready, .broken] {
            let standing = GroupStanding(group: old.group, epoch: old.epoch, rank: 1, phase: phase)
            #expect(try await b.beat(standing).group?.epoch == 2)
        }
        let other = GroupStanding(group: old.group, epoch: 2, rank: 0, phase: .ready)
        #expect(try await b.beat(other).group?.epoch == 2)
        #expect(try await scene.group().members.map(\.phase) == [.reserved, .reserved])
    }

    @Test("a claim that knows the queue of a moment ago gets nothing for an epoch that is over")
    func staleView() async throws {
        let scene = try await GroupScene(workers: 2) { $0.viewAge = .seconds(600) }
        let job = try await scene.farm.job()
        _ = try await scene.store.claimTasks(worker: try scene.member("b").id, limit: 1)
        _ = try await scene.store.cancelJob(job, mode: .now, by: "ann")
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        let a = try scene.member("a").id
        try await scene.farm.job()
        // By what is known both are alone.
        #expect(try await scene.store.claimTasks(worker: a, limit: 1) == .none(.inGroup))
        try await scene.form()
        #expect(try await scene.claim("b") == .none(.inGroup))
        // By what is known the group is ready.
        let lead = try await scene.lead("a")
        try await scene.member("b").say(.broken)
        #expect(
            try await scene.store.claimTasks(worker: a, limit: 1, lead: lead) == .none(.inGroup)
        )
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a claim for a group that is over, or for another epoch, gets nothing")
    func leadOver() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2, tasks: 3)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let a = try scene.member("a").id
        let first = try #require(try await scene.lead("a"))
        // Nor does one that would render alone.
        #expect(try await scene.store.claimTasks(worker: a, limit: 1) == .none(.inGroup))
        try await scene.member("b").say(.broken)
        try await scene.form()
        scene.store.queueChanged()
        #expect(
            try await scene.store.claimTasks(worker: a, limit: 1, lead: first) == .none(.inGroup)
        )
        let second = try #require(try await scene.lead("a"))
        #expect(second.epoch == first.epoch + 1)
        _ = try await scene.claimed("a")
        _ = try await scene.store.dissolveGroup(second.group, now: true, by: "ann")
        let single = try await scene.farm.job()
        scene.store.queueChanged()
        #expect(
            try await scene.store.claimTasks(worker: a, limit: 1, lead: second) == .none(.inGroup)
        )
        #expect(try await scene.claimed("a").job == single)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a worker that is started again keeps its seat, in a new epoch")
    func restart() async throws {
        let scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let task = try await scene.claimed("a")
        let again = try await SimulatedMember.register("b", at: scene.farm)
        #expect(again.id == (try scene.member("b").id))
        let order = try #require(try await again.order())
        #expect(order.epoch == 2 && order.rank == 1)
        #expect(try await scene.store.releaseAttempt(task.fence) == .done(.ready))
        #expect(try await scene.store.runGroups() == GroupReport())
        #expect(try await scene.seats() == ["a", "b"])
    }

    @Test("the seat of a worker that is lost goes to a spare, which leads where that led")
    func replacement() async throws {
        let scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        _ = try await scene.claimed("a")
        try await scene.lose("a")
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["c", "b"])
        try await scene.form(["b", "c"])
        #expect(try await scene.group().state == .ready)
        _ = try await scene.claimed("c")
        let lost = try #require(try await scene.store.worker(try scene.member("a").id))
        #expect(lost.seat == nil && lost.numericClass == "alone" && lost.speed == 1e12)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a worker that others do not reach is replaced once nothing is heard of it")
    func missed() async throws {
        let scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form(["a", "b"])
        try await scene.member("a").say(.broken) { $0.lostRank = 1 }
        _ = try await scene.store.runGroups()
        #expect(try await scene.seats() == ["a", "b"])
        try await scene.farm.pool.execute(
            "UPDATE worker SET last_seen_at = now() - interval '36 s' WHERE name = 'b'"
        )
        _ = try await scene.store.runGroups()
        #expect(try await scene.seats() == ["a", "c"])
    }

    @Test("a picture that takes a member of its group each time is given up with its history")
    func poison() async throws {
        let scene = try await GroupScene(workers: 2) { $0.maxGroupLosses = 2 }
        let job = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        for isLast in [false, true] {
            try await scene.form()
            let task = try await scene.claimed("a")
            // Rank 0 may give it back before the farm is told what became of the member.
            if !isLast {
                #expect(
                    try await scene.store.releaseAttempt(task.fence, lostMember: true)
                        == .done(.ready)
                )
            }
            try await scene.member("b").say(.broken) { $0.reason = "out of memory" }
            #expect(try await scene.farm.state(job) == (isLast ? .failed : .running))
            let record = try #require(try await scene.store.task(task.fence.task))
            #expect(record.failures == 0)
        }
        let image = try await scene.farm.imageState(job)
        #expect(
            image.failure?.message.hasPrefix(
                "poison: given up after the group lost a member 2 times while rendering it; the "
                    + "last: the worker b broke off: out of memory"
            ) == true
        )
        let attempts = try await scene.store.attempts(of: image.task)
        #expect(attempts.map(\.outcome) == ["released", "released"])
        #expect(
            attempts.compactMap(\.failure?.message) == [
                "the group lost a member: rank 0 does not reach it",
                "the group lost a member: the worker b broke off: out of memory",
            ]
        )
        #expect(try await scene.farm.violations() == [])
        // It is tried as often again.
        _ = try await scene.store.retryJob(job, by: "ann")
        try await scene.form()
        _ = try await scene.claimed("a")
        try await scene.member("b").say(.broken)
        #expect(try await scene.farm.state(job) == .running)
    }

    @Test("a worker that comes back with another model has no seat any more")
    func alien() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let b = try await SimulatedMember.register("b", at: scene.farm) { $0.precision = "float32" }
        #expect(try await scene.store.runGroups().dissolved == 1)
        #expect(try await b.order() == nil)
    }

    @Test("a worker that leaves, or is quarantined, ends the epoch at once")
    func leaving() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let b = try scene.member("b")
        #expect(try await scene.store.leaveWorker(b.id, epoch: b.epoch) == 0)
        #expect(try await scene.group().epoch == 2)
        _ = try await scene.store.setWorker(try scene.member("a").id, .quarantine, by: "ops")
        #expect(try await scene.group().epoch == 3)
    }

    @Test("a worker that drains lets its group finish, which takes nothing new")
    func draining() async throws {
        let scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 2, tasks: 2)
        _ = try await scene.store.runGroups()
        try await scene.form()
        let task = try await scene.claimed("a")
        _ = try await scene.store.setWorker(try scene.member("b").id, .drain, by: "ops")
        #expect(try await scene.store.runGroups() == GroupReport())
        #expect(try await scene.claim("a") == .none(.inGroup))
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["a", "c"])
    }
}
