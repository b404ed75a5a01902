import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct WorkerTests {
    private func beat(
        _ farm: PlantedFarm,
        _ worker: RegisteredWorker,
        _ running: [AttemptProgress] = [],
        ahead: [AttemptFence] = [],
        state: WorkerState = .idle
    ) async throws -> HeartbeatRecord? {
        var request = HeartbeatRequest(epoch: worker.epoch, state: state, running: running)
        request.ahead = ahead
        switch try await farm.store.heartbeat(worker: worker.id, request) {
        case .unknownWorker: return nil
        case .answer(let record): return record
        }
    }

    @Test("the same instance keeps its row, another beside a living one gets a number")
    func names() async throws {
        let farm = try await PlantedFarm()
        let first = try await farm.register("w") { $0.instance = "1" }
        let second = try await farm.register("w") { $0.instance = "2" }
        let third = try await farm.register("w") { $0.instance = "3" }
        #expect([first, second, third].map(\.name) == ["w", "w-2", "w-3"])
        #expect(Set([first, second, third].map(\.id)).count == 3)
        let again = try await farm.register("w") { $0.instance = "2" }
        #expect(again.id == second.id)
        #expect(again.name == "w-2")
        #expect(again.epoch == 2)
        // A name that only begins alike is another's.
        #expect(try await farm.register("w-2b") { $0.instance = "4" }.name == "w-2b")
    }

    @Test("a process takes over the name of one that is silent, and what that held lapses")
    func takeover() async throws {
        let farm = try await PlantedFarm()
        let old = try await farm.register("w") { $0.instance = "1" }
        let job = try await farm.job(tasks: 2)
        let fence = try await farm.claim(old.id, of: job)
        try await farm.pool.execute("UPDATE worker SET last_seen_at = now() - interval '1 h'")
        let new = try await farm.register("w") { $0.instance = "2" }
        #expect(new.id == old.id)
        #expect(new.epoch == 2)
        #expect(new.lapsedLeases == 1)
        #expect(try await farm.count("SELECT count(*) AS value FROM lease") == 0)
        #expect(try await farm.count("SELECT count(*) AS value FROM ready") == 2)
        #expect(
            try await farm.value("SELECT outcome AS value FROM attempt WHERE id = \(fence.attempt)")
                == "lapsed"
        )
        // The old process is told to register again, the new one is not.
        #expect(try await beat(farm, old) == nil)
        #expect(try await beat(farm, new)?.state == .idle)
        #expect(try await farm.store.audit().isEmpty)
    }

    @Test("a task whose worker is killed and started again at once is poison after three times")
    func restarts() async throws {
        let farm = try await PlantedFarm()
        let job = try await farm.job(tasks: 1)
        var worker = try await farm.register("w") { $0.instance = "kept" }
        let first = worker
        for count in 1...3 {
            let fence = try await farm.claim(worker.id, of: job)
            worker = try await farm.register("w") { $0.instance = "kept" }
            #expect(worker.id == first.id)
            #expect(worker.name == "w")
            #expect(worker.epoch == first.epoch + Int64(count))
            #expect(worker.lapsedLeases == 1)
            #expect(try await farm.count("SELECT lapses AS value FROM task") == count)
            // The dead process is fenced off, whatever of it still arrives.
            #expect(try await farm.store.releaseAttempt(fence) == .stale)
            let ready = try await farm.count("SELECT count(*) AS value FROM ready")
            #expect(ready == (count < 3 ? 1 : 0))
        }
        let reason: String? = try await farm.value("SELECT failure_message AS value FROM task")
        #expect(
            reason == """
                poison: given up after 3 failed attempts, 3 of them lapsed leases; the last: \
                the worker's process ended without a word and was started again
                """
        )
        #expect(try await farm.state(job) == .failed)
        #expect(try await farm.store.workers().map(\.name) == ["w"])
        #expect(try await farm.store.audit().isEmpty)
    }

    @Test("a worker that fails a job three times is kept from it")
    func blocks() async throws {
        let farm = try await PlantedFarm()
        let job = try await farm.job(tasks: 9)
        let failure = AttemptFailure(failureClass: .workersFault, message: "bad memory")
        var blocked: [Int] = []
        for name in ["a", "b"] { _ = try await farm.register(name) }
        for name in ["a", "b"] {
            let worker = try #require(try await farm.store.worker(named: name))
            for _ in 0..<4 {
                let fence = try await farm.claim(worker.id, of: job)
                #expect(try await farm.store.failAttempt(fence, failure: failure) == .done(.ready))
                blocked.append(try await farm.count("SELECT count(*) AS value FROM worker_block"))
            }
        }
        #expect(blocked == [0, 0, 1, 1, 1, 1, 2, 2])
    }

    @Test("a heartbeat extends leases, notes the steps, and names what is over")
    func heartbeat() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let running = try await farm.claim(worker.id, of: job)
        let ahead = try await farm.claim(worker.id, of: job)
        try await farm.pool.execute("UPDATE lease SET deadline = now() - interval '1 s'")
        var old = running
        old.epoch -= 1
        old.attempt = AttemptID.random()
        let progress = AttemptProgress(
            fence: running,
            image: 0,
            step: 3,
            steps: 10,
            stepSeconds: 0.5
        )
        let record = try #require(
            try await beat(farm, worker, [progress, AttemptProgress(fence: old)], ahead: [ahead])
        )
        #expect(record.extended == [running, ahead])
        #expect(record.stale == [old.attempt])
        #expect(record.cancel.isEmpty)
        #expect(record.state == .busy)
        #expect(record.desiredState == .run)
        let seen = try #require(try await farm.store.worker(worker.id))
        #expect(seen.state == .busy)
        // 1e12 operations an image in 10 steps of half a second.
        #expect(abs(seen.speed - 2e11) < 1e6)
        #expect(seen.leases.map(\.fence) == [running, ahead])
        #expect(seen.leases.map(\.step) == [3, 0])
        #expect(seen.leases.map { $0.begunAt != nil } == [true, false])
        #expect(seen.leases.allSatisfy { $0.deadline > Date() })
        #expect(try await beat(farm, worker)?.state == .idle)
    }

    @Test("what a lost attempt had cost by its last heartbeat stays in its history")
    func costOfTheLost() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.runExpiry()
        for steps in [3, 7] {
            let report = AttemptReport(
                stepsComputed: steps,
                seconds: 1.5,
                conditionsComputed: 1,
                conditionsFound: 2
            )
            let progress = AttemptProgress(fence: fence, step: steps, steps: 10, report: report)
            _ = try await beat(farm, worker, [progress])
        }
        try await farm.pool.execute("UPDATE lease SET deadline = now() - interval '1 s'")
        #expect(try await farm.store.runExpiry().lapsed == 1)
        let row = try #require(
            try await farm.pool.query(
                """
                SELECT steps_computed, conditions_computed, conditions_found, busy_seconds
                FROM attempt
                """
            ).first
        )
        #expect(try row.decode("steps_computed", as: Int.self) == 7)
        #expect(try row.decode("conditions_computed", as: Int.self) == 1)
        #expect(try row.decode("conditions_found", as: Int.self) == 2)
        #expect(try row.decode("busy_seconds", as: Double.self) == 1.5)
    }

    @Test("a worker's speed follows its steps, each counted once")
    func speed() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register { $0.speed = 1e11 }
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        for step in [1, 1, 2] {
            let progress = AttemptProgress(
                fence: fence,
                image: 0,
                step: step,
                steps: 10,
                stepSeconds: 0.5
            )
            _ = try await beat(farm, worker, [progress])
        }
        let speed = try #require(try await farm.store.worker(worker.id)).speed
        // 1e11 goes a fifth of the way to 2e11, and then again.
        #expect(abs(speed - 1.36e11) < 1e6)
        var told = HeartbeatRequest(
            epoch: worker.epoch,
            running: [
                AttemptProgress(fence: fence, image: 0, step: 3, steps: 10, stepSeconds: 0.5)
            ]
        )
        told.speed = 0.36e11
        // What the worker tells knows that a picture is more than its steps; without a new step it is old.
        for _ in 1...2 { _ = try await farm.store.heartbeat(worker: worker.id, told) }
        let slower = try #require(try await farm.store.worker(worker.id)).speed
        #expect(abs(slower - 1.16e11) < 1e6)
    }

    @Test(
        "a cancelled attempt is stopped in the mode of its cancellation",
        arguments: CancelMode.allCases
    )
    func cancelMode(_ mode: CancelMode) async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        #expect(
            try await farm.store.cancelJob(job, mode: mode, by: "root") == .cancelled(leased: 1)
        )
        let record = try await beat(farm, worker, [AttemptProgress(fence: fence)])
        #expect(record?.cancel == [CancelOrder(attempt: fence.attempt, mode: mode)])
        #expect(record?.stale == [])
    }

    @Test("the worker of a job that the farm gives up is told to stop at once")
    func givenUp() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2, maxFailures: 1)
        let running = try await farm.claim(worker.id, of: job)
        try await farm.fail(try await farm.claim(worker.id, of: job), job: job)
        #expect(try await farm.store.enforceFailureLimits() == [job])
        let record = try await beat(farm, worker, [AttemptProgress(fence: running)])
        #expect(record?.cancel == [CancelOrder(attempt: running.attempt, mode: .now)])
        #expect(record?.stale == [])
        #expect(record?.extended == [])
    }

    @Test("a draining worker finishes what it holds and then sleeps until it is woken")
    func drain() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        let drained = try await farm.store.setWorker(worker.id, .drain, reason: "fan", by: "root")
        #expect(drained?.state == .draining)
        #expect(drained?.stateReason == "fan")
        let busy = try await beat(farm, worker, [AttemptProgress(fence: fence)])
        #expect(busy?.state == .draining)
        #expect(busy?.desiredState == .drain)
        #expect(busy?.stateReason == "fan")
        #expect(busy?.extended == [fence])
        #expect(try await farm.store.releaseAttempt(fence) == .done(.ready))
        #expect(try await beat(farm, worker)?.state == .asleep)
        #expect(try await farm.store.setWorker(worker.id, .run, by: "root")?.state == .idle)
        #expect(try await beat(farm, worker)?.desiredState == .run)
        #expect(try await farm.store.setWorker(WorkerID.random(), .run, by: "root") == nil)
        #expect(
            try await farm.store.auditTrail(limit: 5).map(\.action) == [
                "worker.run", "worker.drain",
            ]
        )
    }

    @Test("a quarantined worker loses what it holds, and stays so when it registers again")
    func quarantine() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        let record = try await farm.store.setWorker(
            worker.id,
            .quarantine,
            reason: "wrong pictures",
            by: "root"
        )
        #expect(record?.state == .quarantined)
        #expect(record?.leases.isEmpty == true)
        #expect(try await farm.count("SELECT count(*) AS value FROM ready") == 1)
        #expect(
            try await beat(farm, worker, [AttemptProgress(fence: fence)])?.stale == [fence.attempt]
        )
        let again = try await farm.register()
        #expect(again.desiredState == .quarantine)
        #expect(try await farm.store.worker(worker.id)?.state == .quarantined)
        #expect(try await beat(farm, again)?.state == .quarantined)
        #expect(try await farm.store.audit().isEmpty)
    }

    @Test("a worker that leaves gives back what it holds, and its name is free")
    func leaving() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register("w") { $0.instance = "1" }
        let job = try await farm.job()
        _ = try await farm.claim(worker.id, of: job)
        #expect(try await farm.store.leaveWorker(worker.id, epoch: 9) == nil)
        #expect(try await farm.store.leaveWorker(worker.id, epoch: 1) == 1)
        #expect(try await farm.store.worker(worker.id)?.state == .asleep)
        let next = try await farm.register("w") { $0.instance = "2" }
        #expect(next.id == worker.id)
        #expect(next.name == "w")
    }

    @Test("failures in several jobs with no success between quarantine a worker")
    func sickWorker() async throws {
        let farm = try await PlantedFarm()
        let (sick, well) = (try await farm.register("sick"), try await farm.register("well"))
        let jobs = [try await farm.job(tasks: 3), try await farm.job(tasks: 3)]
        func plant(_ name: String, _ job: JobID, _ failureClass: FailureClass) async throws {
            try await farm.pool.execute(
                """
                WITH counted AS (
                    UPDATE worker SET failures_in_a_row = failures_in_a_row + 1
                    WHERE name = \(name)
                )
                INSERT INTO failure (task_id, job_id, attempt_id, worker_name, failure_class,
                    message)
                VALUES (gen_random_uuid(), \(job), gen_random_uuid(), \(name), \(failureClass),
                    'it smokes')
                """
            )
        }
        for _ in 0..<3 { try await plant("sick", jobs[0], .transient) }
        for index in 0..<4 { try await plant("well", jobs[index % 2], .deterministic) }
        #expect(try await farm.store.quarantineFailingWorkers().isEmpty)
        try await plant("sick", jobs[1], .workersFault)
        #expect(try await farm.store.quarantineFailingWorkers() == [sick.id])
        #expect(try await farm.store.quarantineFailingWorkers().isEmpty)
        let record = try #require(try await farm.store.worker(named: "sick"))
        #expect(record.state == .quarantined)
        #expect(
            record.stateReason == """
                4 failures in a row in 2 jobs, with no success between; the last: it smokes
                """
        )
        #expect(record.lastError?.job == jobs[1])
        #expect(record.lastError?.failure.message == "it smokes")
        #expect(try await farm.store.worker(well.id)?.state == .starting)
        #expect(try await farm.store.workers().map(\.name) == ["sick", "well"])
        #expect(try await farm.store.setWorker(sick.id, .run, by: "root")?.failuresInARow == 0)
    }
}
