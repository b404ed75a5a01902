import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct PreemptionRaceTests {
    /// A worker that is told to park, and the job that is to take the place.
    private func ordered(
        _ scene: PreemptionScene
    ) async throws -> (busy: PreemptionScene.Busy, high: JobID) {
        _ = try await scene.job(10, tasks: 2)
        let busy = try await scene.busy("a")
        let high = try await scene.job(90)
        let report = try await scene.store.runPreemption()
        #expect(report.ordered == 1 && report.promised == 1)
        return (busy, high)
    }

    @Test("a picture that is delivered before the park counts, and the place is taken all the same")
    func delivered() async throws {
        let scene = try await PreemptionScene()
        let (busy, high) = try await ordered(scene)
        let outcome = try await scene.farm.deliver(busy.running, final: AttemptTotals())
        #expect(outcome == .delivered(.succeeded))
        #expect(try await scene.park(busy.running, step: 99) == .stale)
        #expect(try await scene.farm.claimOne(busy.id).job == high)
        #expect(try await scene.store.task(busy.running.fence.task)?.parks == 0)
        #expect(scene.store.counts.parks == [:])
        #expect(try await scene.farm.violations() == [])
    }

    @Test("delivery and park at one moment: one of them counts", arguments: 0..<8)
    func deliveredAtOnce(_ round: Int) async throws {
        let scene = try await PreemptionScene()
        let (busy, _) = try await ordered(scene)
        async let delivery = scene.farm.deliver(busy.running, final: AttemptTotals())
        async let park = scene.park(busy.running, step: 99)
        let (delivered, parked) = try await (delivery, park)
        #expect((delivered == .delivered(.succeeded)) != (parked == .done(.ready)))
        #expect((delivered == .stale) != (parked == .stale))
        #expect(try await scene.farm.violations() == [])
    }

    @Test(
        "a park under a lease that is over is stale and changes nothing; a repeated one is answered"
    )
    func stale() async throws {
        let scene = try await PreemptionScene()
        let (busy, _) = try await ordered(scene)
        #expect(try await scene.park(busy.running, step: 12, kept: 12) == .done(.ready))
        #expect(try await scene.park(busy.running, step: 12) == .done(.ready))
        #expect(try await scene.store.task(busy.running.fence.task)?.parks == 1)
        let other = try await scene.worker("b")
        let again = try #require(
            try await scene.farm.claim(other, limit: 9)
                .first { $0.fence.task == busy.running.fence.task }
        )
        try await scene.farm.lapseAll()
        _ = try await scene.store.runExpiry()
        #expect(try await scene.park(again, step: 20) == .stale)
        #expect(try await scene.store.task(again.fence.task)?.parks == 1)
        #expect(scene.store.counts.parks == ["flux": 1])
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a worker that dies while it parks lapses as any, and another takes what it was promised")
    func death() async throws {
        let scene = try await PreemptionScene()
        let (busy, high) = try await ordered(scene)
        let other = try await scene.worker("b")
        try await scene.farm.lapseAll()
        #expect(try await scene.store.runExpiry().lapsed == 1)
        try await scene.farm.pool.execute("UPDATE worker SET state = 'lost' WHERE id = \(busy.id)")
        #expect(try await !scene.farm.claim(other).contains { $0.job == high })
        _ = try await scene.store.runPreemption()
        #expect(try await scene.farm.claim(other, limit: 9).contains { $0.job == high })
        #expect(try await scene.store.task(busy.running.fence.task)?.lapses == 1)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a promise ends with its time, and the order with it")
    func expiry() async throws {
        let scene = try await PreemptionScene()
        let (busy, high) = try await ordered(scene)
        try await scene.farm.pool.execute(
            "UPDATE worker SET promised_until = now() - interval '1 s', parks = false"
        )
        _ = try await scene.store.runPreemption()
        #expect(try await scene.beat(busy.id, busy.running, step: 12).park == [])
        let other = try await scene.worker("b")
        #expect(try await scene.farm.claimOne(other).job == high)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("what is told nowhere before its coordinator dies is told by another, whatever that knew")
    func coordinatorDies() async throws {
        let scene = try await PreemptionScene()
        var known = FarmStoreConfiguration()
        // longer than this test: only a claim that finds nothing looks again
        known.viewAge = .seconds(3600)
        let pool = PostgresPool(try TestDatabase.configuration())
        let other = FarmStore(pool: pool, configuration: known)
        _ = try await scene.job(10, tasks: 9)
        let busy = try await scene.busy("a")
        // reads the queue as it is before the decision
        let idle = try await scene.worker("b")
        _ = try await other.claimTasks(worker: idle, limit: 1)
        try await scene.farm.pool.execute(
            "UPDATE worker SET desired_state = 'sleep' WHERE id = \(idle)"
        )
        let high = try await scene.job(90)
        let report = try await scene.store.runPreemption()
        #expect(report.ordered == 1 && report.promised == 1)
        let record = try await scene.beat(busy.id, busy.running, step: 12, at: other)
        #expect(record.park == [busy.running.fence.attempt])
        guard case .tasks(let tasks) = try await other.claimTasks(worker: busy.id, limit: 1) else {
            Issue.record("nothing was claimed")
            return
        }
        #expect(tasks.map(\.job) == [high])
        #expect(
            try await other.parkAttempt(busy.running.fence, image: 0, step: 12) == .done(.ready)
        )
        #expect(try await scene.farm.violations() == [])
        await pool.close()
    }

    @Test("a job that is cancelled while a promise of its task ends leaves nothing to be claimed")
    func cancelledMeanwhile() async throws {
        let scene = try await PreemptionScene()
        let (busy, high) = try await ordered(scene)
        let pool = scene.farm.pool
        try await pool.execute(
            "UPDATE worker SET promised_until = now() - interval '1 s', parks = false"
        )
        let (duty, cancel) = try await pool.withTransaction { connection in
            // The task's row is written anew when the duty comes to the worker's.
            try await connection.execute("SELECT FROM worker WHERE id = \(busy.id) FOR UPDATE")
            let duty = Task { try await scene.store.runPreemption() }
            try await pool.waitForWaiters(1)
            let cancel = Task { try await scene.store.cancelJob(high, by: "ann") }
            try await pool.waitForWaiters(2)
            return (duty, cancel)
        }
        _ = try await duty.value
        _ = try await cancel.value
        #expect(try await scene.ready(high) == 0)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a job that is cancelled or paused takes no place any more", arguments: [true, false])
    func withdrawn(isCancelled: Bool) async throws {
        let scene = try await PreemptionScene()
        let (busy, high) = try await ordered(scene)
        if isCancelled {
            _ = try await scene.store.cancelJob(high, by: "ann")
        } else {
            _ = try await scene.store.pauseJob(high, by: "ann")
        }
        scene.store.queueChanged()
        if isCancelled {
            _ = try await scene.store.runPreemption()
            #expect(try await scene.beat(busy.id, busy.running, step: 12).park == [])
        }
        // its next claim is like any
        let next = try await scene.farm.claim(busy.id)
        #expect(next.map(\.job) != [high])
        _ = try await scene.store.runPreemption()
        #expect(try await scene.beat(busy.id, busy.running, step: 12, ahead: next).park == [])
        #expect(try await scene.farm.claim(busy.id).count + next.count == 1)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("claims beside the duty: each task once, and what is promised by whom it was promised")
    func besideClaims() async throws {
        let scene = try await PreemptionScene { $0.preemptQuantum = .zero }
        _ = try await scene.job(10, tasks: 40)
        var workers: [PreemptionScene.Busy] = []
        for name in ["a", "b", "c", "d"] { workers.append(try await scene.busy(name)) }
        let high = try await scene.job(90, tasks: 6)
        let claimed = try await withThrowingTaskGroup(of: [ClaimedTask].self) { group in
            for worker in workers {
                group.addTask {
                    var tasks: [ClaimedTask] = []
                    for _ in 0..<6 { tasks += try await scene.farm.claim(worker.id) }
                    return tasks
                }
            }
            group.addTask {
                for _ in 0..<12 { _ = try await scene.store.runPreemption() }
                return []
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        var rest: [ClaimedTask] = []
        for worker in workers {
            // a promise that was made last ends with the first
            for _ in 0..<2 { rest += try await scene.farm.claim(worker.id, limit: 99) }
        }
        let all = claimed + rest + workers.map(\.running)
        #expect(Set(all.map(\.fence.attempt)).count == all.count)
        #expect(try await scene.store.tasks(of: high).allSatisfy { $0.state == .leased })
        #expect(try await scene.farm.violations() == [])
    }
}
