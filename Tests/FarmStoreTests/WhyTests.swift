import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct WhyTests {
    /// Why a job's tasks wait, and that its first task and the counts say the same.
    private func why(
        _ farm: PlantedFarm,
        _ job: JobID,
        blobs: BlobRoom? = nil
    ) async throws -> WaitingSummary? {
        let summaries = try #require(try await farm.store.why(job: job, blobs: blobs))
        #expect(summaries.count <= 1)
        guard let summary = summaries.first else { return nil }
        let task: TaskID? = try await farm.value(
            """
            SELECT id AS value FROM task WHERE job_id = \(job)
                AND id NOT IN (SELECT task_id FROM lease) ORDER BY number LIMIT 1
            """
        )
        #expect(try await farm.store.why(task: try #require(task), blobs: blobs) == summary.cause)
        let counts = try await farm.store.waitingCounts(blobs: blobs)
        #expect(Set(counts.keys) == Set(WaitingReason.allCases))
        #expect(counts[summary.cause.reason, default: 0] >= summary.tasks)
        return summary
    }

    @Test("what no live worker has is named with what they have instead")
    func requirements() async throws {
        let farm = try await PlantedFarm()
        let job = try await farm.job(tasks: 2)
        func change(_ head: String) async throws {
            try await farm.pool.execute("UPDATE head SET \(raw: head)")
        }
        #expect(
            try await why(farm, job)
                == WaitingSummary(cause: .noWorker(.init(model: "flux")), tasks: 2)
        )
        let worker = try await farm.register { $0.memory = 8 << 30 }
        #expect(try await why(farm, job)?.cause == .behind(tasks: 0))
        try await change("pool = 'night', tags = '{amx}'")
        #expect(
            try await why(farm, job)?.cause
                == .noWorker(.init(model: "flux", pool: "night", tags: ["amx"]))
        )
        try await change("pool = NULL, tags = '{}', precision = 'int8'")
        #expect(
            try await why(farm, job)?.cause == .noPrecision(wanted: "int8", offered: ["float32"])
        )
        try await change("precision = NULL, memory_bytes = 16 * 1024::bigint ^ 3")
        #expect(
            try await why(farm, job)?.cause == .noMemory(needed: 16 << 30, largest: 8 << 30)
        )
        try await change("memory_bytes = NULL, group_size = 2")
        #expect(try await why(farm, job)?.cause == .noGroup(GroupShortage(size: 2, model: "flux")))
        try await change("group_size = 1, numeric_class = 'other'")
        #expect(try await why(farm, job)?.cause.reason == .noWorker)
        try await change("numeric_class = NULL")
        try await farm.pool.execute(
            "INSERT INTO worker_block (job_id, worker_name) VALUES (\(job), 'w')"
        )
        // A sole worker is kept from nothing.
        #expect(try await why(farm, job)?.cause == .behind(tasks: 0))
        _ = try await farm.store.setWorker(worker.id, .drain, by: "root")
        #expect(try await why(farm, job)?.cause.reason == .noWorker)
    }

    @Test("what is held back names what holds it")
    func blocks() async throws {
        let farm = try await PlantedFarm()
        _ = try await farm.register()
        let start = Date(timeIntervalSince1970: 4_000_000_000)
        let job = try await farm.job(tasks: 3)
        let later = try await farm.job(startAfter: start, blockedBy: "start_after")
        let after = try await farm.job(after: [job], blockedBy: "dependency")
        #expect(try await why(farm, later)?.cause == .startAfter(start))
        #expect(try await why(farm, after)?.cause == .dependency(jobs: ["job"]))
        let full = BlobRoom(freePercent: 3, reservePercent: 5)
        #expect(
            try await why(farm, job, blobs: full)?.cause
                == .blobStoreFull(freePercent: 3, reservePercent: 5)
        )
        #expect(try await farm.store.setPoolPaused("default", true, by: "root"))
        #expect(try await why(farm, job)?.cause == .poolPaused(pool: "default"))
        try await farm.store.setFarmPaused(true, by: "root")
        #expect(try await why(farm, job)?.cause == .poolPaused(pool: nil))
        _ = try await farm.store.pauseJob(job, by: "root")
        #expect(
            try await why(farm, job) == WaitingSummary(cause: .jobPaused, tasks: 3)
        )
        let counts = try await farm.store.waitingCounts()
        #expect(counts.filter { $0.value > 0 } == [.jobPaused: 3, .startAfter: 1, .dependency: 1])
    }

    @Test("what waits its turn names who goes first")
    func turns() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let first = try await farm.job(tasks: 3)
        let second = try await farm.job(tasks: 2)
        let other = try await farm.job(owner: "bob")
        #expect(try await why(farm, first)?.cause == .behind(tasks: 0))
        #expect(try await why(farm, second)?.cause == .behind(tasks: 3))
        _ = try await farm.claim(worker.id, of: first)
        // Ann is charged for what is at work, Bob had nothing yet.
        #expect(try await why(farm, first)?.cause == .fairShare(owner: "ann"))
        #expect(try await why(farm, second)?.cause == .behind(tasks: 2))
        #expect(try await why(farm, other)?.cause == .behind(tasks: 0))
        let last: TaskID? = try await farm.value(
            "SELECT id AS value FROM task WHERE job_id = \(second) AND number = 1"
        )
        #expect(try await farm.store.why(task: try #require(last)) == .behind(tasks: 3))
        try await farm.pool.execute("UPDATE head SET max_workers = 1 WHERE job_id = \(first)")
        #expect(try await why(farm, first)?.cause == .limit(maxWorkers: 1))
        _ = try await farm.store.prioritizeJob(second, priority: 99, by: "root")
        #expect(try await why(farm, second)?.cause == .fairShare(owner: "ann"))
        let counts = try await farm.store.waitingCounts()
        #expect(counts.filter { $0.value > 0 } == [.limit: 2, .fairShare: 2, .behind: 1])
    }

    @Test("what rests after a failure says until when and why")
    func backoff() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        #expect(try await farm.store.why(task: fence.task) == nil)
        #expect(try await farm.store.why(job: job) == [])
        let failure = AttemptFailure(failureClass: .transient, message: "the wind blew")
        #expect(try await farm.store.failAttempt(fence, failure: failure) == .done(.ready))
        let until: Date? = try await farm.value("SELECT until AS value FROM resting")
        #expect(
            try await why(farm, job)?.cause
                == .backoff(until: try #require(until), failure: "the wind blew")
        )
        #expect(try await farm.store.waitingCounts()[.backoff] == 1)
        _ = try await farm.store.pauseJob(job, by: "root")
        #expect(try await why(farm, job)?.cause == .jobPaused)
        #expect(try await farm.store.why(job: JobID.random()) == nil)
        #expect(try await farm.store.why(task: TaskID.random()) == nil)
    }

    @Test("a submission is told what no live worker could run")
    func unrunnable() async throws {
        let farm = try await PlantedFarm()
        func cause(
            _ change: (inout TaskRequirement) -> Void = { _ in }
        ) async throws -> WaitingCause? {
            var requirement = TaskRequirement()
            change(&requirement)
            return try await farm.store.unrunnable(
                model: "flux",
                digest: "model-digest",
                requirement
            )
        }
        #expect(try await cause()?.reason == .noWorker)
        let worker = try await farm.register()
        #expect(try await cause() == nil)
        #expect(try await cause { $0.precision = "int8" }?.reason == .noPrecision)
        #expect(try await cause { $0.memoryBytes = 1 }?.reason == .noMemory)
        let record = try #require(try await farm.store.worker(worker.id))
        #expect(record.canRun(model: "model-digest", TaskRequirement()))
        #expect(!record.canRun(model: "other", TaskRequirement()))
    }
}
