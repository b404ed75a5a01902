import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

/// What workers do that wait for the last member of their group.
@Suite(.database, .timeLimit(.minutes(10))) struct GroupReservationTests {
    @Test("workers that are reserved take only what ends before the last of them is free")
    func reservation() async throws {
        let scene = try await GroupScene(workers: 2)
        let long = try await scene.farm.job { $0.tasks = [NewTask(cost: 100e12)] }
        let held = try await scene.claimed("b")
        #expect(held.job == long)
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        #expect(try await scene.seats() == ["a", "b"])
        #expect(try #require(try await scene.member("a").order()).isReserved)
        // It would end after the group could have started.
        try await scene.farm.job { $0.tasks = [NewTask(cost: 200e12)] }
        #expect(try await scene.claim("a") == .none(.inGroup))
        let short = try await scene.farm.job { $0.tasks = [NewTask(cost: 20e12)] }
        let filler = try await scene.claimed("a")
        #expect(filler.job == short)
        #expect(
            try await scene.farm.deliver(filler, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(
            try await scene.store.deliverImage(
                held.fence,
                imageIndex: 0,
                output: DeliveredOutput(digest: "long", size: 1),
                final: AttemptTotals()
            ) == .delivered(.succeeded)
        )
        // Nobody holds anything: they load, and take nothing more.
        #expect(try #require(try await scene.member("a").order()).isReserved == false)
        #expect(try await scene.claim("a") == .none(.inGroup))
        try await scene.form()
        #expect(try await scene.group().state == .ready)
    }

    @Test("each task that a reserved worker takes ends in time, not only the first of its job")
    func unequalTasks() async throws {
        let scene = try await GroupScene(workers: 2) { $0.viewAge = .seconds(600) }
        try await scene.farm.job { $0.tasks = [NewTask(cost: 100e12)] }
        _ = try await scene.claimed("b")
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        let job = try await scene.farm.job(tasks: 2) {
            $0.tasks = [20e12, 300e12].map { NewTask(cost: $0) }
        }
        let filler = try await scene.claimed("a")
        #expect(filler.job == job)
        _ = try await scene.farm.deliver(filler, final: AttemptTotals())
        // By what is known of the queue the next one is as short.
        let a = try scene.member("a").id
        #expect(try await scene.store.claimTasks(worker: a, limit: 1).tasks == [])
    }

    @Test("what reserved workers take never puts off their group")
    func start() async throws {
        let scene = try await GroupScene(workers: 3)
        func start() async throws -> Date? {
            try await scene.farm.pool.query("SELECT starts_at FROM worker_group").first?
                .decode("starts_at")
        }
        func deliver(_ task: ClaimedTask) async throws {
            let outcome = try await scene.farm.deliver(task, final: AttemptTotals())
            #expect(outcome == .delivered(.succeeded))
        }
        func isReserved(_ name: String) async throws -> Bool {
            try #require(try await scene.member(name).order()).isReserved
        }
        try await scene.farm.job { $0.tasks = [NewTask(cost: 100e12)] }
        let held = try await scene.claimed("c")
        _ = try await scene.job(group: 3)
        _ = try await scene.store.runGroups()
        let predicted = try await start()
        let fillers = try await scene.farm.job(tasks: 9) {
            $0.tasks = Array(repeating: NewTask(cost: 20e12), count: 9)
        }
        // One at a time, however many it asks for: a second would begin when the first ends.
        scene.store.queueChanged()
        let answer = try await scene.store.claimTasks(
            worker: try scene.member("a").id,
            limit: 2
        )
        guard case .tasks(let tasks) = answer, tasks.count == 1 else {
            Issue.record("\(answer)")
            return
        }
        #expect(tasks[0].job == fillers)
        #expect(try await scene.claim("a") == .none(.inGroup))
        let other = try await scene.claimed("b")
        // What was held at the reservation is over: what was taken since keeps nobody waiting longer.
        try await deliver(held)
        try await deliver(other)
        for name in ["b", "c"] { #expect(try await scene.claim(name) == .none(.inGroup)) }
        #expect(try await start() == predicted)
        #expect(try await isReserved("b"))
        try await deliver(tasks[0])
        for name in ["a", "b", "c"] { #expect(try await !isReserved(name)) }
        try await scene.form()
        #expect(try await scene.group().state == .ready)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a reservation lasts until its workers are free, and then as long as any")
    func longReservation() async throws {
        let scene = try await GroupScene(workers: 2)
        func expire(in interval: String) async throws {
            try await scene.farm.pool.execute(
                """
                UPDATE worker_group SET expires_at = expires_at - interval '\(raw: interval)'
                """
            )
        }
        try await scene.farm.job { $0.tasks = [NewTask(cost: 1000e12)] }
        _ = try await scene.claimed("b")
        _ = try await scene.job(group: 2)
        _ = try await scene.store.runGroups()
        try await expire(in: "11 min")
        #expect(try await scene.store.runGroups() == GroupReport())
        try await expire(in: "17 min")
        #expect(try await scene.store.runGroups().dissolved == 1)
    }
}
