import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// Two sessions at once, in an order that open transactions fix.
@Suite(.database, .timeLimit(.minutes(10))) struct ControlRaceTests {
    @Test("a cancellation waits for a claim that has begun, and fences it off")
    func cancelAfterClaim() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let outcome = try await farm.pool.withConnection { connection in
            try await connection.execute("BEGIN")
            _ = try await farm.claim(worker.id, of: job, on: connection)
            async let cancel = farm.store.cancelJob(job, by: "root")
            try await farm.waitUntilBlocking(connection)
            try await connection.execute("COMMIT")
            return try await cancel
        }
        #expect(outcome == .cancelled(leased: 1))
        #expect(try await farm.count("SELECT count(*) AS value FROM lease") == 0)
        #expect(
            try await farm.count(
                "SELECT count(*) AS value FROM attempt WHERE outcome = 'cancelled'"
            ) == 1
        )
        #expect(try await farm.store.audit() == [])
    }

    @Test("a claim takes nothing of a job whose cancellation has begun")
    func claimDuringCancel() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let outcome = try await farm.pool.withConnection { connection in
            // Who holds the job's row keeps the cancellation open at its last step.
            try await connection.execute("BEGIN")
            try await connection.execute("SELECT FROM job WHERE id = \(job) FOR UPDATE")
            async let cancel = farm.store.cancelJob(job, by: "root")
            try await farm.waitUntilBlocking(connection)
            let claimed = try await farm.store.claimTasks(worker: worker.id, limit: 2)
            #expect(claimed.tasks.isEmpty)
            try await connection.execute("COMMIT")
            return try await cancel
        }
        #expect(outcome == .cancelled(leased: 0))
        #expect(try await farm.store.claimTasks(worker: worker.id, limit: 2).tasks.isEmpty)
        #expect(try await farm.store.audit() == [])
    }

    @Test("a cancellation that finds the job's last attempt just ended changes nothing")
    func cancelAfterEnd() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        let output = DeliveredOutput(digest: "d", size: 1)
        let outcome = try await farm.pool.withConnection { connection in
            // Who holds the head keeps the cancellation open at its first step.
            try await connection.execute("BEGIN")
            try await connection.execute("SELECT FROM head FOR UPDATE")
            async let cancel = farm.store.cancelJob(job, by: "root")
            try await farm.waitUntilBlocking(connection)
            let delivered = try await farm.store.deliverImage(
                fence,
                imageIndex: 0,
                output: output,
                final: AttemptTotals()
            )
            #expect(delivered == .delivered(.succeeded))
            try await connection.execute("COMMIT")
            return try await cancel
        }
        #expect(outcome == .alreadyOver(.succeeded))
        #expect(try await farm.state(job) == .succeeded)
        #expect(try await farm.store.audit() == [])
    }

    @Test("a failed attempt does not queue its task again behind a cancellation")
    func failureDuringCancel() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        let failure = AttemptFailure(failureClass: .resource, message: "no memory")
        let (cancelled, failed) = try await farm.pool.withConnection { connection in
            try await connection.execute("BEGIN")
            try await connection.execute("SELECT FROM job WHERE id = \(job) FOR UPDATE")
            async let cancel = farm.store.cancelJob(job, by: "root")
            try await farm.waitUntilBlocking(connection)
            async let fail = farm.store.failAttempt(fence, failure: failure)
            try await connection.execute("COMMIT")
            return (try await cancel, try await fail)
        }
        #expect(cancelled == .cancelled(leased: 1))
        #expect(failed == .stale)
        #expect(try await farm.store.audit() == [])
    }

    @Test("a pause lets the claim before it stand, and takes nothing after")
    func pause() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        let fence = try await farm.pool.withConnection { connection in
            try await connection.execute("BEGIN")
            let fence = try await farm.claim(worker.id, of: job, on: connection)
            async let pause = farm.store.pauseJob(job, by: "root")
            // The claim has started the job, whose row it holds.
            try await farm.waitUntilBlocking(connection)
            try await connection.execute("COMMIT")
            guard case .done(let record) = try await pause else { throw Unexpected() }
            #expect(record.state == .paused)
            return fence
        }
        #expect(try await farm.store.claimTasks(worker: worker.id, limit: 2).tasks.isEmpty)
        let output = DeliveredOutput(digest: "d", size: 1)
        #expect(
            try await farm.store.deliverImage(
                fence,
                imageIndex: 0,
                output: output,
                final: AttemptTotals()
            ) == .delivered(.succeeded)
        )
        _ = try await farm.store.resumeJob(job, by: "root")
        farm.store.queueChanged()
        #expect(try await farm.store.claimTasks(worker: worker.id, limit: 2).tasks.count == 1)
        #expect(try await farm.store.audit() == [])
    }

    @Test("a retry and the expiry of the same job do not get in each other's way")
    func retryDuringExpiry() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2)
        try await farm.fail(try await farm.claim(worker.id, of: job), job: job)
        let lapsed = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.runExpiry()
        try await farm.pool.execute("UPDATE lease SET deadline = now() - interval '1 s'")
        let (retried, report) = try await farm.pool.withConnection { connection in
            // Both have begun, and wait for the job's row at their ends.
            try await connection.execute("BEGIN")
            try await connection.execute("SELECT FROM job WHERE id = \(job) FOR UPDATE")
            async let retry = farm.store.retryJob(job, by: "root")
            try await farm.waitUntilBlocking(connection)
            async let expiry = farm.store.runExpiry()
            try await connection.execute("COMMIT")
            return (try await retry, try await expiry)
        }
        #expect(retried == .retried(images: 1))
        #expect(report.lapsed == 1)
        #expect(
            try await farm.value(
                "SELECT outcome AS value FROM attempt WHERE id = \(lapsed.attempt)"
            )
                == "lapsed"
        )
        #expect(try await farm.count("SELECT count(*) AS value FROM ready") == 2)
        #expect(try await farm.state(job) == .running)
        #expect(try await farm.store.audit() == [])
    }

    struct Unexpected: Error {}
}

extension ClaimOutcome {
    /// The leased tasks; none where nothing was claimed.
    var tasks: [ClaimedTask] {
        if case .tasks(let tasks) = self { tasks } else { [] }
    }
}
