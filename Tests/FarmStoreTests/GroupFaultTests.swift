import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

/// What becomes of groups whose members break off, differ, or leave.
@Suite(.database, .timeLimit(.minutes(10))) struct GroupFaultTests {
    @Test("a needed group that a member breaks again and again ends, and the member rests")
    func breaks() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        let until = try await scene.group().expiresAt
        for epoch in 2...3 {
            try await scene.member("b").say(.broken) { $0.reason = "out of memory" }
            let group = try await scene.group()
            #expect(group.epoch == Int64(epoch) && group.expiresAt == until)
        }
        try await scene.member("b").say(.broken) { $0.reason = "out of memory" }
        #expect(try await scene.store.groups().isEmpty)
        let over = try #require(try await scene.store.groups(includingDissolved: true).first)
        #expect(over.reason?.contains("3 times in a row") == true)
        #expect(over.reason?.contains("out of memory") == true)
        #expect(try await scene.store.runGroups().formed == 0)
        try await scene.farm.pool.execute(
            "UPDATE worker SET group_unfit_until = now() - interval '1 s' WHERE name = 'b'"
        )
        #expect(try await scene.store.runGroups().formed == 1)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("the worker that others lose again and again is to blame, unless the group was ready")
    func blame() async throws {
        let scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        for _ in 0..<2 { try await scene.member("a").say(.broken) { $0.lostRank = 1 } }
        try await scene.form(["a", "b"])
        for _ in 0..<2 { try await scene.member("a").say(.broken) { $0.lostRank = 1 } }
        #expect(try await scene.seats() == ["a", "b"])
        try await scene.member("a").say(.broken) { $0.lostRank = 1 }
        #expect(try await scene.store.runGroups().formed == 1)
        #expect(try await scene.seats() == ["a", "c"])
    }

    @Test("a named group gives the seat of a member that breaks off to a spare, or says why not")
    func namedBreaks() async throws {
        var scene = try await GroupScene(workers: 0)
        for name in ["a", "b"] {
            try await scene.add(name) { $0.group = GroupOffer(name: "wide", size: 2) }
        }
        let job = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        for _ in 0..<3 { try await scene.member("b").say(.broken) { $0.reason = "no memory" } }
        #expect(try await scene.seats() == ["a", "b"])
        #expect(try #require(try await scene.member("a").order()).isReserved)
        let why = try await scene.store.why(job: job)?.first?.cause.sentence
        #expect(why?.contains("rank 1 rests") == true && why?.contains("no memory") == true)
        try await scene.add("c") { $0.group = GroupOffer(name: "wide", size: 2) }
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["a", "c"])
        try await scene.form(["a", "c"])
        #expect(try await scene.group().state == .ready)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("workers of several classes never sit in one group")
    func kinds() async throws {
        var scene = try await GroupScene(workers: 1)
        try await scene.add("b") { $0.numericClass = "packed" }
        _ = try await scene.job(group: 2)
        #expect(try await scene.store.runGroups().formed == 0)
        try await scene.add("c")
        #expect(try await scene.store.runGroups().formed == 1)
        #expect(try await scene.seats() == ["a", "c"])
        try await scene.form(["a", "c"])
        try await scene.lose("c")
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["a", "c"])
        try await scene.add("d")
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == ["a", "d"])
    }

    @Test("members that tell several classes of the group do not become one")
    func classes() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.member("a").say(.ready)
        try await scene.member("b").say(.ready) { $0.numericClass = "another" }
        let group = try await scene.group()
        #expect(group.state == .forming && group.epoch == 2)
        #expect(group.reason == "its members compute in several classes: alone/tp2, another")
        try await scene.member("b").say(.ready) { $0.numericClass = "alone/tp2" }
        try await scene.member("a").say(.ready)
        #expect(try await scene.group().state == .ready)
    }

    @Test("a group with a member that may not take part does not become ready")
    func unfit() async throws {
        let scene = try await GroupScene(workers: 2)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await scene.member("b").say(.ready)
        let b = try scene.member("b").id
        _ = try await scene.store.setWorker(b, .sleep, by: "ops")
        try await scene.member("a").say(.ready)
        #expect(try await scene.group().state == .forming)
        _ = try await scene.store.setWorker(b, .run, by: "ops")
        try await scene.member("a").say(.ready)
        #expect(try await scene.group().state == .ready)
    }

    @Test("a member whose process is to end lets the group finish", arguments: ["a", "b"])
    func ending(name: String) async throws {
        let scene = try await GroupScene(workers: 3)
        _ = try await scene.job(group: 2, tasks: 2)
        _ = try await scene.store.runGroups()
        try await scene.form(["a", "b"])
        let task = try await scene.claimed("a")
        let member = try scene.member(name)
        let beat = HeartbeatRequest(epoch: member.epoch, state: .draining)
        _ = try await scene.store.heartbeat(worker: member.id, beat)
        #expect(try await scene.store.runGroups() == GroupReport())
        guard case .none = try await scene.claim("a") else {
            Issue.record("a group that is to end takes a task")
            return
        }
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.store.runGroups().renewed == 1)
        #expect(try await scene.seats() == (name == "a" ? ["c", "b"] : ["a", "c"]))
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a model is split into no more ranks than it has heads")
    func heads() async throws {
        var scene = try await GroupScene(workers: 0)
        for name in ["a", "b", "c"] {
            try await scene.add(name) {
                $0.modelMemory = ModelMemory(sharded: 4, replicated: 0, working: 0, mostRanks: 2)
            }
        }
        let job = try await scene.job(group: 3)
        #expect(try await scene.store.runGroups().formed == 0)
        let why = try await scene.store.why(job: job)?.first?.cause.sentence
        #expect(why?.contains("of 2 heads cannot be split over 3 workers") == true)
        var wish = GroupWish()
        wish.size = 3
        guard case .refused(let reason) = try await scene.store.formGroup(wish, by: "ops") else {
            Issue.record("the group is made")
            return
        }
        #expect(reason.contains("of 2 heads cannot be split over 3 workers"))
    }
}
