import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct PreemptionDutyTests {
    private static func took(_ ordered: Int, _ promised: Int) -> PreemptionReport {
        var report = PreemptionReport()
        report.ordered = ordered
        report.promised = promised
        return report
    }

    @Test(
        "a task of a higher band takes the place of one that renders, which goes on from its step"
    )
    func wholeWay() async throws {
        let scene = try await PreemptionScene()
        let low = try await scene.job(10, tasks: 3)
        let busy = try await scene.busy("a")
        #expect(try await scene.store.runPreemption() == PreemptionReport())
        let high = try await scene.job(90)
        // By their shares this owner would be next.
        _ = try await scene.job(50, owner: "bob")
        #expect(try await scene.store.runPreemption() == Self.took(1, 1))
        #expect(try await scene.store.runPreemption() == PreemptionReport())
        // What was held ahead is there for others; what was promised is not.
        #expect(try await scene.ready(low) == 2)
        let other = try await scene.worker("b")
        let others = try await scene.farm.claim(other, limit: 9)
        #expect(others.count == 3)
        #expect(!others.contains { $0.job == high })

        #expect(
            try await scene.beat(busy.id, busy.running, step: 11).park == [
                busy.running.fence.attempt
            ]
        )
        let taken = try await scene.farm.claimOne(busy.id)
        #expect(taken.job == high)
        #expect(
            try await scene.beat(busy.id, busy.running, step: 11, ahead: [taken]).park.count == 1
        )
        #expect(try await scene.park(busy.running, step: 12, kept: 12) == .done(.ready))

        let attempt = try #require(
            try await scene.store.attempts(of: busy.running.fence.task).first
        )
        #expect(attempt.outcome == "parked")
        #expect(attempt.parked == ParkedView(image: 0, step: 12, job: high))
        let task = try #require(try await scene.store.task(busy.running.fence.task))
        #expect(task.parks == 1 && task.failures == 0)
        #expect(task.parked == attempt.parked)
        #expect(scene.store.counts.parks == ["flux": 1])
        #expect(scene.store.counts.repeatedSteps == ["flux": 0])
        let event = try await scene.parkedEvent(of: low)
        #expect(event.step == 12 && event.repeatedSteps == 0 && event.job == high)
        let again = try await scene.farm.claimOne(other)
        #expect(again.fence.task == busy.running.fence.task)
        #expect(try await scene.store.checkpoints(of: again.fence.task).map(\.step) == [12])
        #expect(try await scene.farm.violations() == [])
    }

    @Test("steps that no checkpoint kept are counted, no more than there are")
    func repeated() async throws {
        let scene = try await PreemptionScene()
        let low = try await scene.job(10)
        let busy = try await scene.busy("a")
        _ = try await scene.job(90)
        _ = try await scene.store.runPreemption()
        #expect(try await scene.park(busy.running, step: 1000, kept: 40) == .done(.ready))
        #expect(scene.store.counts.repeatedSteps == ["flux": 60])
        #expect(try await scene.parkedEvent(of: low).repeatedSteps == 60)
    }

    @Test("who parks without being told to has given its attempt back, and is answered so again")
    func untold() async throws {
        let scene = try await PreemptionScene()
        _ = try await scene.job(10)
        let busy = try await scene.busy("a")
        for _ in 0..<2 {
            #expect(try await scene.park(busy.running, step: 12) == .done(.ready))
        }
        let task = try #require(try await scene.store.task(busy.running.fence.task))
        #expect(task.parks == 0)
        #expect(scene.store.counts.parks == [:])
        #expect(
            try await !scene.store.auditTrail(limit: 9).contains { $0.action == "task.parked" }
        )
        #expect(try await scene.farm.violations() == [])
    }

    @Test("an owner is not told which job of another took the place; the audit is")
    func secrecy() async throws {
        let scene = try await PreemptionScene()
        let low = try await scene.job(10)
        let busy = try await scene.busy("a")
        let lifted = try await scene.job(10, owner: "bob")
        _ = try await scene.store.prioritizeJob(lifted, isLifted: true, by: "ops")
        #expect(try await scene.store.runPreemption() == Self.took(1, 1))
        #expect(try await scene.park(busy.running, step: 12, kept: 12) == .done(.ready))
        let attempt = try #require(
            try await scene.store.attempts(of: busy.running.fence.task).first
        )
        #expect(attempt.parked == ParkedView(image: 0, step: 12, job: nil))
        #expect(try await scene.parkedEvent(of: low).job == nil)
        let entry = try await scene.farm.pool.query(
            "SELECT detail ->> 'for' AS job FROM audit WHERE action = 'task.parked'"
        ).first
        #expect(try entry?.decode("job", as: String.self) == lifted.description)
    }

    @Test("nothing is parked where it is off")
    func off() async throws {
        let scene = try await PreemptionScene { $0.preempts = false }
        _ = try await scene.job(10)
        _ = try await scene.busy("a")
        _ = try await scene.job(90)
        #expect(try await scene.store.runPreemption() == PreemptionReport())
    }

    @Test("nothing is parked for an equal band, within the quantum, or a third time")
    func bounds() async throws {
        let scene = try await PreemptionScene()
        _ = try await scene.job(30)
        let busy = try await scene.busy("a")
        _ = try await scene.job(70)
        #expect(try await scene.store.runPreemption() == PreemptionReport())
        _ = try await scene.job(75)
        try await scene.farm.pool.execute("UPDATE lease SET begun_at = now() - interval '59 s'")
        #expect(try await scene.store.runPreemption() == PreemptionReport())
        try await scene.farm.pool.execute("UPDATE lease SET begun_at = now() - interval '61 s'")
        try await scene.farm.pool.execute("UPDATE task SET parks = 2")
        #expect(try await scene.store.runPreemption() == PreemptionReport())
        try await scene.farm.pool.execute("UPDATE task SET parks = 1")
        #expect(try await scene.store.runPreemption() == Self.took(1, 1))
        #expect(try await scene.beat(busy.id, busy.running, step: 11).park.count == 1)
    }

    @Test("what a worker holds ahead of something of a lower band is waited for by a park")
    func heldAhead() async throws {
        let scene = try await PreemptionScene()
        _ = try await scene.job(10)
        let busy = try await scene.busy("a")
        #expect(busy.ahead == nil)
        let high = try await scene.job(90)
        let next = try await scene.farm.claimOne(busy.id)
        #expect(next.job == high)
        try await scene.beat(busy.id, busy.running, step: 11, ahead: [next])
        #expect(try await scene.store.runPreemption() == Self.took(1, 0))
        #expect(
            try await scene.beat(busy.id, busy.running, step: 11, ahead: [next]).park.count == 1
        )
        #expect(try await scene.park(busy.running, step: 12, kept: 12) == .done(.ready))
        // begun by then: the order is no more
        try await scene.beat(busy.id, next, step: 1)
        #expect(try await scene.store.runPreemption() == PreemptionReport())
        #expect(try await scene.farm.violations() == [])
    }

    @Test("what ends about as soon as it could be parked is not; its worker is promised the task")
    func soonFree() async throws {
        let scene = try await PreemptionScene()
        let low = try await scene.job(10, tasks: 2)
        let busy = try await scene.busy("a")
        let ahead = try #require(busy.ahead)
        try await scene.beat(busy.id, busy.running, step: 98, ahead: [ahead])
        let high = try await scene.job(90)
        #expect(try await scene.store.runPreemption() == Self.took(0, 1))
        let record = try await scene.beat(busy.id, busy.running, step: 99, ahead: [ahead])
        #expect(record.park == [] && record.stale == [ahead.fence.attempt])
        #expect(try await scene.ready(low) == 1)
        #expect(try await scene.farm.claimOne(busy.id).job == high)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("a speed at which nothing ever ends is no reason to fail")
    func slow() async throws {
        let scene = try await PreemptionScene()
        _ = try await scene.job(10)
        let busy = try await scene.busy("a")
        try await scene.farm.pool.execute("UPDATE worker SET speed = 1")
        _ = try await scene.job(90)
        #expect(try await scene.store.runPreemption() == Self.took(1, 1))
        #expect(try await scene.beat(busy.id, busy.running, step: 11).park.count == 1)
    }

    @Test("of unlike workers that one is parked which has least at risk")
    func victim() async throws {
        let scene = try await PreemptionScene()
        _ = try await scene.job(10, tasks: 3)
        var busy: [PreemptionScene.Busy] = []
        for (name, speed) in [("slow", 1e10), ("fast", 1e11), ("middle", 5e10)] {
            let id = try await scene.worker(name)
            try await scene.farm.pool.execute("UPDATE worker SET speed = \(speed) WHERE id = \(id)")
            let task = try await scene.farm.claimOne(id)
            // steps since the beginning: 20 s, 30 s and 20 s of work at their speeds
            let step = name == "slow" ? 2 : name == "fast" ? 30 : 10
            try await scene.beat(id, task, step: step)
            try await scene.age(task)
            busy.append(PreemptionScene.Busy(id: id, running: task, ahead: nil))
        }
        _ = try await scene.job(90)
        #expect(try await scene.store.runPreemption() == Self.took(1, 1))
        // with the step that runs, 30 s, 31 s and 22 s
        for (worker, isParked) in zip(busy, [false, false, true]) {
            let record = try await scene.beat(worker.id, worker.running, step: 31)
            #expect(record.park.isEmpty != isParked)
        }
    }
}
