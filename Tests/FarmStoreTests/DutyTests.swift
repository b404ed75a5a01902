import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct DutyTests {
    @Test("one coordinator at a time does a duty, and its lock is free when it is done")
    func locks() async throws {
        let farm = try await PlantedFarm()
        let other = PostgresPool(try TestDatabase.configuration())
        let store = FarmStore(pool: other)
        let inner = try await farm.store.withDuty(.wake) { _ in
            let same = try await store.withDuty(.wake) { _ in 1 }
            let another = try await store.withDuty(.vacuum) { _ in 2 }
            return [same, another]
        }
        #expect(inner == [nil, 2])
        let after = try await store.withDuty(.wake) { _ in 3 }
        #expect(after == 3)
        await #expect(throws: Broken.self) {
            try await farm.store.withDuty(.wake) { _ in throw Broken() }
        }
        let afterError = try await store.withDuty(.wake) { _ in 4 }
        #expect(afterError == 4)
        await other.close()
    }

    struct Broken: Error {}

    @Test("a lapsed lease returns its task, and three make it poison")
    func lapses() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        for round in 1...3 {
            let fence = try await farm.claim(worker.id, of: job)
            #expect(try await farm.store.runExpiry().lapsed == 0)
            try await farm.pool.execute("UPDATE lease SET deadline = now() - interval '1 s'")
            let report = try await farm.store.runExpiry()
            #expect(report.lapsed == 1)
            #expect(report.poisoned == (round == 3 ? 1 : 0))
            #expect(
                try await farm.store.completeAttempt(fence) == .stale
            )
            #expect(try await farm.store.audit() == [])
        }
        #expect(try await farm.state(job) == .failed)
    }

    @Test(
        "a death counts against what its worker had begun, not against what it had claimed ahead",
        arguments: [true, false],
        [true, false]
    )
    func lapseAhead(isTold: Bool, together: Bool) async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let begun = try await farm.claim(worker.id, of: job)
        let ahead = try await farm.claim(worker.id, of: job)
        if isTold {
            try await farm.pool.execute(
                "UPDATE lease SET begun_at = now() WHERE attempt_id = \(begun.attempt)"
            )
        }
        _ = try await farm.store.runExpiry()
        for lapsing in together ? [[begun, ahead]] : [[begun], [ahead]] {
            try await farm.pool.execute(
                """
                UPDATE lease SET deadline = now() - interval '1 s'
                WHERE attempt_id = ANY(\(lapsing.map(\.attempt))::uuid[])
                """
            )
            #expect(try await farm.store.runExpiry().lapsed == lapsing.count)
        }
        let rows = try await farm.pool.query(
            """
            SELECT attempt.outcome, task.lapses FROM attempt JOIN task ON task.id = attempt.task_id
            ORDER BY task.number
            """
        )
        let outcomes = try rows.map { try $0.decode("outcome", as: String.self) }
        #expect(outcomes == ["lapsed", "released"])
        #expect(try rows.map { try $0.decode("lapses", as: Int.self) } == [1, 0])
        #expect(try await farm.count("SELECT count(*) AS value FROM ready") == 2)
        #expect(try await farm.store.audit() == [])
    }

    @Test("a worker started again died of what it had begun, not of what it had claimed ahead")
    func replacedAhead() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        for deaths in 1...2 {
            _ = try await farm.claim(worker.id, of: job)
            _ = try await farm.claim(worker.id, of: job)
            #expect(try await farm.register().lapsedLeases == 2)
            let rows = try await farm.pool.query("SELECT lapses FROM task ORDER BY number")
            #expect(try rows.map { try $0.decode("lapses", as: Int.self) } == [deaths, 0])
            try await farm.pool.execute("UPDATE resting SET until = now()")
            _ = try await farm.store.runWake()
        }
        #expect(try await farm.store.audit() == [])
    }

    @Test("what is claimed behind a task that is delivered is the worker's next, and counts")
    func lapseOfTheNext() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let first = try await farm.claim(worker.id, of: job)
        let next = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.releaseAttempt(first)
        _ = try await farm.store.runExpiry()
        try await farm.pool.execute("UPDATE lease SET deadline = now() - interval '1 s'")
        #expect(try await farm.store.runExpiry().lapsed == 1)
        let lapses = try await farm.count(
            "SELECT lapses::bigint AS value FROM task WHERE id = \(next.task)"
        )
        #expect(lapses == 1)
    }

    @Test("after a gap of the duty leases are extended and nothing ends")
    func outage() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let running = try await farm.claim(worker.id, of: job)
        _ = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.runExpiry()
        try await farm.pool.execute("UPDATE duty SET last_run_at = now() - interval '1 h'")
        try await farm.pool.execute("UPDATE worker SET last_seen_at = now() - interval '1 h'")
        try await farm.pool.execute(
            """
            UPDATE lease SET deadline = now() - interval '50 min',
                begun_at = CASE WHEN attempt_id = \(running.attempt)
                    THEN now() - interval '1 h' END,
                stepped_at = CASE WHEN attempt_id = \(running.attempt)
                    THEN now() - interval '1 h' END
            """
        )
        let report = try await farm.store.runExpiry()
        #expect(report.extendedAfterGap == 2)
        #expect((report.lapsed, report.hung, report.lostWorkers) == (0, 0, 0))
        #expect(
            try await farm.count(
                """
                SELECT count(*) AS value FROM lease WHERE deadline > now() + interval '30 s'
                    AND (begun_at IS NULL OR begun_at > now() - interval '1 min')
                """
            ) == 2
        )
        #expect(
            try await farm.count("SELECT count(*) AS value FROM lease WHERE begun_at IS NULL") == 1
        )
        let next = try await farm.store.runExpiry()
        #expect((next.lapsed, next.hung, next.lostWorkers) == (0, 0, 0))
    }

    @Test("a clock of the database that was set back keeps nothing waiting for its return")
    func clockSetBack() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let failed = try await farm.claim(worker.id, of: job)
        let held = try await farm.claim(worker.id, of: job)
        let failure = AttemptFailure(failureClass: .transient, message: "once")
        _ = try await farm.store.failAttempt(failed, failure: failure)
        _ = try await farm.store.runExpiry()
        // All that was written before the clock was set back by 60 days lies in the future.
        try await farm.pool.execute("UPDATE duty SET last_run_at = now() + interval '60 days'")
        try await farm.pool.execute("UPDATE lease SET deadline = now() + interval '60 days'")
        try await farm.pool.execute("UPDATE resting SET until = now() + interval '60 days'")
        try await farm.pool.execute("UPDATE worker SET last_seen_at = now() + interval '60 days'")
        try await farm.pool.execute(
            """
            INSERT INTO account_usage (owner, slot, charge, charged_at)
            SELECT owner, slot, 1, now() + interval '60 days'
            FROM (SELECT DISTINCT owner FROM account_usage) AS charged
                CROSS JOIN generate_series(0, 15) AS slot
            ON CONFLICT (owner, slot) DO UPDATE SET charged_at = excluded.charged_at
            """
        )
        let report = try await farm.store.runExpiry()
        #expect((report.extendedAfterGap, report.lapsed) == (0, 0))
        #expect(
            try await farm.count(
                "SELECT count(*) AS value FROM lease WHERE deadline <= now() + interval '1 min'"
            ) == 1
        )
        #expect(
            try await farm.count(
                "SELECT count(*) AS value FROM resting WHERE until <= now() + interval '5 min'"
            ) == 1
        )
        #expect(
            try await farm.count(
                "SELECT count(*) AS value FROM worker WHERE last_seen_at > now()"
            ) == 0
        )
        // A charge does not grow by what it would have decayed.
        #expect(try await farm.store.releaseAttempt(held) == .done(.ready))
        #expect(try await farm.store.audit() == [])
    }

    @Test("a gap whose extension fails is still there for the next run")
    func outageInTheMiddle() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        _ = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.runExpiry()
        try await farm.pool.execute("UPDATE duty SET last_run_at = now() - interval '1 h'")
        try await farm.pool.execute("UPDATE lease SET deadline = now() - interval '50 min'")
        try await farm.pool.withConnection { connection in
            try await connection.execute(
                script: """
                    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                        $$ BEGIN RAISE EXCEPTION 'the database goes away'; END $$;
                    CREATE TRIGGER refuse BEFORE UPDATE ON lease
                        EXECUTE FUNCTION refuse();
                    """
            )
        }
        await #expect(throws: DatabaseError.self) { try await farm.store.runExpiry() }
        try await farm.pool.execute("DROP TRIGGER refuse ON lease")
        let report = try await farm.store.runExpiry()
        #expect((report.extendedAfterGap, report.lapsed) == (1, 0))
    }

    @Test(
        "an attempt that makes no step, or takes four times its prediction, is ended as hung",
        arguments: [
            // One image is 1e12 operations: a tenth is a step, predicted to take 1 s at 1e11.
            (1e11, "stepped_at = now() - interval '3 min'", true),
            (1e11, "stepped_at = now() - interval '1 min'", false),
            // 100 s a step: five of them.
            (1e9, "stepped_at = now() - interval '8 min'", false),
            (1e9, "stepped_at = now() - interval '9 min'", true),
            // 10 s in all, but never less than two minutes.
            (1e11, "stepped_at = now(), begun_at = now() - interval '1 min'", false),
            (1e11, "stepped_at = now(), begun_at = now() - interval '3 min'", true),
            // 1000 s in all.
            (1e9, "stepped_at = now(), begun_at = now() - interval '66 min'", false),
            (1e9, "stepped_at = now(), begun_at = now() - interval '67 min'", true),
            // A worker of unknown speed gets an hour.
            (0, "stepped_at = now() - interval '59 min'", false),
            (0, "stepped_at = now() - interval '61 min'", true),
        ]
    )
    func hung(_ speed: Double, _ change: String, _ isHung: Bool) async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register { $0.speed = speed }
        let job = try await farm.job()
        _ = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.runExpiry()
        try await farm.pool.execute(
            "UPDATE lease SET begun_at = now() - interval '10 s', step = 1, steps = 10"
        )
        try await farm.pool.execute("UPDATE lease SET \(raw: change)")
        #expect(try await farm.store.runExpiry().hung == (isHung ? 1 : 0))
        let messages = try await farm.pool.query("SELECT failure_message FROM attempt")
        #expect(messages.count == (isHung ? 1 : 0))
        for row in messages {
            #expect(try row.decode("failure_message", as: String.self).hasPrefix("hung: "))
        }
        #expect(try await farm.store.audit() == [])
    }

    @Test("a silent worker is lost, and what it holds lapses by its deadline alone")
    func silence() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        _ = try await farm.claim(worker.id, of: job)
        try await farm.pool.execute("UPDATE worker SET last_seen_at = now() - interval '1 h'")
        let report = try await farm.store.runExpiry()
        #expect(report.lostWorkers == 1)
        #expect(report.lapsed == 0)
        #expect(try await farm.store.workers().isEmpty)
        #expect(try await farm.store.workers(includingLost: true).map(\.leasedTasks) == [1])
        _ = try await farm.store.heartbeat(worker: worker.id, HeartbeatRequest(epoch: 1))
        #expect(try await farm.store.workers().map(\.state) == [.busy])
    }

    @Test("what rests is ready when its time has come")
    func resting() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        let failure = AttemptFailure(failureClass: .transient, message: "the wind blew")
        #expect(try await farm.store.failAttempt(fence, failure: failure) == .done(.ready))
        #expect(try await farm.store.runWake().rested == 0)
        try await farm.pool.execute("UPDATE resting SET until = now()")
        #expect(try await farm.store.runWake().rested == 1)
        #expect(try await farm.store.runWake().rested == 0)
        #expect(
            try await farm.value("SELECT avoid[1] AS value FROM ready", as: String.self) == "w"
        )
        #expect(try await farm.store.audit() == [])
    }

    @Test("a job starts at its time, and after the jobs that it waits for")
    func waiting() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let first = try await farm.job()
        let second = try await farm.job(after: [first], blockedBy: "dependency")
        let later = try await farm.job(
            after: [first],
            startAfter: Date(timeIntervalSinceNow: 3600),
            blockedBy: "dependency"
        )
        #expect(try await farm.store.runWake() == WakeReport())
        let fence = try await farm.claim(worker.id, of: first)
        let output = DeliveredOutput(digest: "d", size: 1)
        _ = try await farm.store.deliverImage(
            fence,
            imageIndex: 0,
            output: output,
            final: AttemptTotals()
        )
        let report = try await farm.store.runWake()
        #expect(Set(report.unblocked) == [second, later])
        #expect(
            try await farm.value(
                "SELECT blocked_by AS value FROM head WHERE job_id = \(later)",
                as: String.self
            ) == "start_after"
        )
        try await farm.pool.execute("UPDATE job SET start_after = now() WHERE id = \(later)")
        #expect(try await farm.store.runWake().started == 1)
        #expect(try await farm.store.runWake() == WakeReport())
        #expect(
            try await farm.count(
                "SELECT count(*) AS value FROM head WHERE blocked_by IS NOT NULL"
            ) == 0
        )
    }

    @Test("a job fails with the one that it waits for, and so does what waits for it")
    func brokenDependency() async throws {
        let farm = try await PlantedFarm()
        let first = try await farm.job()
        let second = try await farm.job(after: [first], blockedBy: "dependency")
        let third = try await farm.job(after: [second], blockedBy: "dependency")
        _ = try await farm.store.cancelJob(first, by: "root")
        #expect(try await farm.store.runWake().failedByDependency == [second])
        #expect(try await farm.store.runWake().failedByDependency == [third])
        let job = try #require(try await farm.store.job(second))
        #expect(job.state == .failed)
        #expect(job.reason == "dependency: job did not succeed")
        #expect(try await farm.store.events(of: second, limit: 9).last?.kind == "job.failed")
        #expect(try await farm.store.audit() == [])
    }

    @Test("hot tables are vacuumed when they have more dead rows than live ones")
    func vacuum() async throws {
        let farm = try await PlantedFarm()
        #expect(try await farm.store.runVacuum().tables.isEmpty)
        try await farm.job(tasks: 500)
        try await farm.pool.withConnection { connection in
            try await connection.execute("DELETE FROM ready WHERE number < 400")
            try await connection.execute("SELECT pg_stat_force_next_flush()")
        }
        let report = try await farm.store.runVacuum()
        #expect(report.tables == ["ready"])
        #expect(report.counts["ready"]?.dead == 400)
    }

    @Test("a hot table that rests keeps no dead rows")
    func vacuumAtRest() async throws {
        let farm = try await PlantedFarm()
        try await farm.job(tasks: 30)
        try await farm.pool.withConnection { connection in
            try await connection.execute("DELETE FROM ready")
            try await connection.execute("SELECT pg_stat_force_next_flush()")
        }
        let first = try await farm.store.runVacuum()
        #expect(first.tables.isEmpty)
        let second = try await farm.store.runVacuum(since: first)
        #expect(second.tables.contains("ready"))
        #expect(try await farm.store.runVacuum(since: second).tables.isEmpty)
    }

    @Test("a head without ready tasks is marked, and open again when one is queued")
    func emptyHeads() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        #expect(try await farm.store.runEmptyHeads() == 0)
        let fence = try await farm.claim(worker.id, of: job)
        #expect(try await farm.store.runEmptyHeads() == 1)
        #expect(try await farm.store.runEmptyHeads() == 0)
        #expect(try await farm.store.releaseAttempt(fence) == .done(.ready))
        #expect(
            try await farm.count("SELECT count(*) AS value FROM head WHERE NOT is_empty") == 1
        )
    }

    @Test("what is kept no longer goes, jobs with pictures when pictures go")
    func retention() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let (pictures, empty) = (try await farm.job(), try await farm.job(tasks: 2))
        let recent = try await farm.job()
        let fence = try await farm.claim(worker.id, of: pictures)
        let line = LogLine(
            attempt: fence.attempt,
            number: 0,
            at: Date(timeIntervalSinceNow: -86_400 * 20),
            level: .info,
            text: "old"
        )
        try await farm.store.appendLog(worker: worker.id, [line])
        _ = try await farm.store.deliverImage(
            fence,
            imageIndex: 0,
            output: DeliveredOutput(digest: "d", size: 1),
            final: AttemptTotals()
        )
        for job in [empty, recent] { _ = try await farm.store.cancelJob(job, by: "root") }
        try await farm.pool.execute(
            """
            UPDATE job SET finished_at = now() - interval '100 days' WHERE id <> \(recent)
            """
        )
        var policy = RetentionPolicy()
        let first = try await farm.store.runRetention(policy)
        #expect(first.jobs == 1)
        #expect(first.logLines == 1)
        #expect(try await farm.store.job(empty) == nil)
        policy.outputs = .seconds(86_400)
        #expect(try await farm.store.runRetention(policy).jobs == 1)
        #expect(try await farm.store.job(pictures) == nil)
        #expect(try await farm.store.job(recent) != nil)
        #expect(try await farm.count("SELECT count(*) AS value FROM output") == 0)
        #expect(try await farm.store.audit() == [])
    }

    @Test("a webhook is taken by one, tried again after a rest, and given up in the end")
    func webhooks() async throws {
        let farm = try await PlantedFarm()
        let job = try await farm.job(webhook: "https://example.org/h")
        #expect(try await farm.store.claimWebhook() == nil)
        _ = try await farm.store.cancelJob(job, by: "root")
        for attempt in 1...10 {
            let taken = try #require(try await farm.store.claimWebhook())
            #expect(taken.attempt == attempt)
            #expect(taken.url == "https://example.org/h")
            #expect(try await farm.store.claimWebhook() == nil)
            #expect(try await farm.store.finishWebhook(taken.id, error: "502") == (attempt == 10))
            try await farm.pool.execute("UPDATE webhook SET due_at = now()")
        }
        #expect(try await farm.store.claimWebhook() == nil)
        let record = try #require(try await farm.store.webhooks(limit: 9).first)
        #expect(record.lastError == "502")
        #expect(record.givenUpAt != nil)
        try await farm.pool.execute("UPDATE webhook SET given_up_at = NULL")
        let last = try #require(try await farm.store.claimWebhook())
        #expect(try await !farm.store.finishWebhook(last.id, error: nil))
        #expect(try await farm.store.webhooks(of: job, limit: 9).first?.sentAt != nil)
        #expect(try await farm.store.claimWebhook() == nil)
    }
}
