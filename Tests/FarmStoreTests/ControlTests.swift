import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct ControlTests {
    private func blocked(_ farm: PlantedFarm, _ job: JobID) async throws -> String? {
        try await farm.value("SELECT blocked_by AS value FROM head WHERE job_id = \(job)")
    }

    @Test("a paused job is blocked until it is resumed, and each is said once")
    func pause() async throws {
        let farm = try await PlantedFarm()
        let job = try await farm.job(tasks: 2)
        guard case .done(let paused) = try await farm.store.pauseJob(job, by: "bob"),
            case .unchanged = try await farm.store.pauseJob(job, by: "bob")
        else { throw Unexpected() }
        #expect(paused.state == .paused)
        #expect(try await blocked(farm, job) == "job_paused")
        guard case .done(let resumed) = try await farm.store.resumeJob(job, by: "bob"),
            case .unchanged = try await farm.store.resumeJob(job, by: "bob")
        else { throw Unexpected() }
        #expect(resumed.state == .pending)
        #expect(try await blocked(farm, job) == nil)
        #expect(
            try await farm.store.events(of: job, limit: 9).map(\.kind)
                == ["job.created", "job.paused", "job.resumed"]
        )
        #expect(
            try await farm.store.auditTrail(limit: 9).map { [$0.actor, $0.action, $0.target] }
                == [["bob", "job.resumed", "\(job)"], ["bob", "job.paused", "\(job)"]]
        )
        guard case .notFound = try await farm.store.pauseJob(JobID.random(), by: "bob") else {
            throw Unexpected()
        }
    }

    @Test("a resumed job runs when it had begun, and waits again for what it waited for")
    func resume() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let begun = try await farm.job(tasks: 2)
        _ = try await farm.claim(worker.id, of: begun)
        let later = try await farm.job(startAfter: Date(timeIntervalSinceNow: 3600))
        let dependent = try await farm.job(after: [begun])
        for job in [begun, later, dependent] {
            _ = try await farm.store.pauseJob(job, by: "root")
            _ = try await farm.store.resumeJob(job, by: "root")
        }
        #expect(try await farm.state(begun) == .running)
        #expect(try await farm.state(later) == .pending)
        #expect(try await blocked(farm, begun) == nil)
        #expect(try await blocked(farm, later) == "start_after")
        #expect(try await blocked(farm, dependent) == "dependency")
    }

    @Test("a cancelled job is fenced off at once and keeps what was delivered")
    func cancel() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 3, images: 2, webhook: "https://example.org/h")
        let fence = try await farm.claim(worker.id, of: job)
        let output = DeliveredOutput(digest: "d", size: 1)
        let delivered = try await farm.store.deliverImage(fence, imageIndex: 0, output: output)
        #expect(delivered == .delivered(nil))
        var progress = AttemptProgress(fence: fence, image: 1, step: 7, steps: 10)
        progress.report = AttemptReport(stepsComputed: 17, seconds: 3.5)
        _ = try await farm.store.heartbeat(
            worker: worker.id,
            HeartbeatRequest(state: .busy, running: [progress])
        )
        #expect(
            try await farm.store.cancelJob(job, mode: .now, by: "bob") == .cancelled(leased: 1)
        )
        #expect(
            try await farm.store.cancelJob(job, by: "bob") == .alreadyOver(.cancelled)
        )
        #expect(try await farm.store.cancelJob(JobID.random(), by: "bob") == .notFound)
        #expect(try await farm.store.deliverImage(fence, imageIndex: 1, output: output) == .stale)
        let record = try #require(try await farm.store.job(job))
        #expect(record.state == .cancelled)
        #expect(record.images.delivered == 1)
        #expect(record.images.cancelled == 5)
        #expect(record.liveTaskCount == 0)
        let attempt = try #require(
            try await farm.pool.query(
                "SELECT steps_computed, busy_seconds FROM attempt WHERE job_id = \(job)"
            ).first
        )
        #expect(try attempt.decode("steps_computed") == 17)
        #expect(try attempt.decode("busy_seconds") == 3.5)
        #expect(try await farm.store.webhooks(of: job, limit: 9).count == 1)
        #expect(try await farm.store.audit().isEmpty)
    }

    @Test("a job gets another priority, and an operator lifts it")
    func prioritize() async throws {
        let farm = try await PlantedFarm()
        let job = try await farm.job()
        guard
            case .done(let record) = try await farm.store.prioritizeJob(
                job,
                priority: 90,
                by: "bob"
            ),
            case .unchanged = try await farm.store.prioritizeJob(job, priority: 90, by: "bob"),
            case .done = try await farm.store.prioritizeJob(job, isLifted: true, by: "bob")
        else { throw Unexpected() }
        #expect(record.priority == 90)
        #expect(
            try await farm.count(
                "SELECT count(*) AS value FROM head WHERE priority = 90 AND is_lifted"
            ) == 1
        )
        #expect(
            try await farm.store.events(of: job, limit: 9).map(\.data)
                == ["{}", #"{"priority": 90}"#, #"{"is_lifted": true}"#]
        )
        _ = try await farm.store.cancelJob(job, by: "bob")
        guard
            case .refused(.cancelled) = try await farm.store.prioritizeJob(
                job,
                priority: 1,
                by: "bob"
            )
        else { throw Unexpected() }
    }

    @Test("a job that is over is deleted with all its rows, after a preview")
    func delete() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let (job, other) = (try await farm.job(tasks: 2), try await farm.job(tasks: 1))
        for (id, digest) in [(job, "shared"), (job, "own"), (other, "shared")] {
            let fence = try await farm.claim(worker.id, of: id)
            let index = try await farm.count(
                "SELECT first_index AS value FROM task WHERE id = \(fence.task)"
            )
            let output = DeliveredOutput(digest: digest, size: 10)
            _ = try await farm.store.deliverImage(fence, imageIndex: index, output: output)
            #expect(try await farm.store.completeAttempt(fence) == .done(.succeeded))
        }
        let live = try await farm.job(after: [job])
        let preview = try #require(try await farm.store.deletionPreview(job))
        #expect(preview.state == .succeeded)
        #expect(preview.outputs == 2)
        #expect(preview.outputBytes == 20)
        #expect(preview.attempts == 2)
        #expect(preview.blobs == 1)
        #expect(preview.blobBytes == 10)
        #expect(preview.dependents == [live])
        #expect(try await farm.store.deleteJob(live, by: "bob") == .refused(.pending))
        #expect(try await farm.store.deleteJob(job, by: "bob") == .deleted(preview))
        #expect(try await farm.store.deleteJob(job, by: "bob") == .notFound)
        #expect(try await farm.store.deletionPreview(job) == nil)
        for table in ["image", "task", "event", "head", "output", "attempt"] {
            let left = try await farm.count(
                """
                SELECT count(*) AS value FROM \(raw: table) AS row
                WHERE to_jsonb(row) ->> 'job_id' = \(job.description)
                """
            )
            #expect(left == 0, "\(table)")
        }
        #expect(try await farm.store.audit().isEmpty)
        // Who waited for it waits no more.
        _ = try await farm.store.pauseJob(live, by: "bob")
        _ = try await farm.store.resumeJob(live, by: "bob")
        #expect(try await blocked(farm, live) == nil)
    }

    @Test("a job that failed too often is given up, and the rest of it cancelled")
    func failureLimit() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 4, maxFailures: 2)
        try await farm.fail(try await farm.claim(worker.id, of: job), job: job)
        #expect(try await farm.store.enforceFailureLimits().isEmpty)
        try await farm.fail(try await farm.claim(worker.id, of: job), job: job)
        _ = try await farm.store.enforceFailureLimits(of: [job])
        let record = try #require(try await farm.store.job(job))
        #expect(record.state == .failed)
        #expect(record.images.failed == 2)
        #expect(record.images.cancelled == 2)
        #expect(record.reason == "max_failures: 2 images failed, and 2 may")
        #expect(try await farm.store.audit().isEmpty)
    }

    struct Unexpected: Error {}
}
