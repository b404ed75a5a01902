import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct RetryTests {
    /// Claims and fails what there is of a job, until nothing is left.
    private func failAll(_ farm: PlantedFarm, _ worker: WorkerID, of job: JobID) async throws {
        let failure = AttemptFailure(failureClass: .deterministic, message: "no such slot")
        while try await farm.state(job)?.isFinal == false {
            let fence = try await farm.claim(worker, of: job)
            _ = try await farm.store.failAttempt(fence, failure: failure)
        }
    }

    /// Claims a task and delivers an image of it, its last.
    private func deliver(
        _ farm: PlantedFarm,
        _ worker: WorkerID,
        of job: JobID,
        index: Int
    ) async throws -> DeliverOutcome {
        try await farm.store.deliverImage(
            try await farm.claim(worker, of: job),
            imageIndex: index,
            output: DeliveredOutput(digest: "d\(index)", size: 1),
            final: AttemptTotals()
        )
    }

    @Test("failed images are tried again: all, or those that are named")
    func retry() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2, images: 2)
        #expect(try await farm.store.retryJob(job, by: "bob") == .nothingToRetry)
        try await failAll(farm, worker.id, of: job)
        #expect(try await farm.state(job) == .failed)
        #expect(try await farm.store.retryJob(job, images: [1], by: "bob") == .retried(images: 1))
        let record = try #require(try await farm.store.job(job))
        #expect(record.state == .running)
        #expect(record.images.failed == 3)
        #expect(record.images.waiting == 1)
        #expect(record.liveTaskCount == 1)
        #expect(try await farm.store.audit() == [])
        // What waits already is not retried; the rest is.
        #expect(try await farm.store.retryJob(job, images: [1], by: "bob") == .nothingToRetry)
        #expect(
            try await farm.store.retryJob(job, images: [2, 3], by: "bob") == .retried(images: 2)
        )
        // The other image of its task has failed, and so has the task.
        #expect(try await deliver(farm, worker.id, of: job, index: 1) == .delivered(.failed))
        #expect(try await farm.store.audit() == [])
        #expect(try await farm.store.retryJob(job, by: "bob") == .retried(images: 1))
        #expect(try await deliver(farm, worker.id, of: job, index: 0) == .delivered(.succeeded))
        #expect(try await farm.store.audit() == [])
        _ = try await farm.store.cancelJob(job, by: "bob")
        #expect(try await farm.store.retryJob(job, by: "bob") == .refused(.cancelled))
        #expect(try await farm.store.retryJob(JobID.random(), by: "bob") == .notFound)
    }

    @Test("a task with a failed image fails, however its attempt on the others ends")
    func partlyFailed() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(images: 2)
        try await failAll(farm, worker.id, of: job)
        _ = try await farm.store.retryJob(job, images: [1], by: "bob")
        let fence = try await farm.claim(worker.id, of: job)
        #expect(try await farm.store.releaseAttempt(fence) == .done(.ready))
        #expect(try await deliver(farm, worker.id, of: job, index: 1) == .delivered(.failed))
        let task = try #require(try await farm.store.task(fence.task))
        #expect(task.failure?.message == "no such slot")
        #expect(try await farm.state(job) == .failed)
        #expect(try await farm.store.audit() == [])
    }

    @Test("of a job that was given up what was cancelled with it is tried again too")
    func givenUp() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 3, maxFailures: 1)
        try await farm.fail(try await farm.claim(worker.id, of: job), job: job)
        #expect(try await farm.store.enforceFailureLimits() == [job])
        #expect(try await farm.store.retryJob(job, by: "bob") == .retried(images: 3))
        let record = try #require(try await farm.store.job(job))
        #expect(record.images == ImageTally(waiting: 3))
        #expect(record.liveTaskCount == 3)
        #expect(try await farm.store.audit() == [])
        for index in 0..<3 { _ = try await deliver(farm, worker.id, of: job, index: index) }
        #expect(try await farm.state(job) == .succeeded)
        #expect(try await farm.store.audit() == [])
    }

    @Test("failed images that are left do not end the job again, new ones do")
    func forgiven() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 3, maxFailures: 2)
        for _ in 0..<2 { try await farm.fail(try await farm.claim(worker.id, of: job), job: job) }
        #expect(try await farm.store.enforceFailureLimits() == [job])
        #expect(
            try await farm.store.retryJob(job, images: [0, 2], by: "bob") == .retried(images: 2)
        )
        #expect(try await farm.store.enforceFailureLimits() == [])
        for _ in 0..<2 {
            #expect(try await farm.store.enforceFailureLimits() == [])
            try await farm.fail(try await farm.claim(worker.id, of: job), job: job)
        }
        #expect(try await farm.state(job) == .failed)
        #expect(try await farm.store.audit() == [])
    }

    @Test("a job of which something stays cancelled does not succeed")
    func partlyGivenUp() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 2, images: 2, maxFailures: 1)
        let failure = AttemptFailure(failureClass: .deterministic, message: "no", image: 1)
        let fence = try await farm.claim(worker.id, of: job)
        #expect(try await farm.store.failAttempt(fence, failure: failure) == .done(.ready))
        #expect(try await farm.store.enforceFailureLimits() == [job])
        #expect(
            try await farm.store.retryJob(job, images: [1, 2], by: "bob") == .retried(images: 2)
        )
        #expect(try await farm.store.audit() == [])
        #expect(try await deliver(farm, worker.id, of: job, index: 1) == .delivered(.failed))
        #expect(try await deliver(farm, worker.id, of: job, index: 2) == .delivered(.failed))
        #expect(try await farm.state(job) == .failed)
        #expect(try await farm.store.audit() == [])
        #expect(try await farm.store.retryJob(job, by: "bob") == .retried(images: 2))
    }

    @Test("a job that failed while it was paused goes on when it is retried")
    func paused() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.pauseJob(job, by: "bob")
        try await farm.fail(fence, job: job)
        #expect(try await farm.store.retryJob(job, by: "bob") == .retried(images: 1))
        #expect(try await farm.state(job) == .running)
        #expect(try await farm.store.why(job: job)?.map(\.cause) == [.behind(tasks: 0)])
        _ = try await farm.store.pauseJob(job, by: "bob")
        guard case .done = try await farm.store.resumeJob(job, by: "bob") else {
            throw Unexpected()
        }
    }

    @Test("a job that failed with the one before it waits for that again")
    func dependent() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let first = try await farm.job()
        let second = try await farm.job(after: [first], blockedBy: "dependency")
        try await farm.fail(try await farm.claim(worker.id, of: first), job: first)
        #expect(try await farm.store.runWake().failedByDependency == [second])
        for job in [first, second] {
            #expect(try await farm.store.retryJob(job, by: "bob") == .retried(images: 1))
        }
        #expect(try await farm.store.runWake() == WakeReport())
        #expect(
            try await farm.store.why(job: second)?.map(\.cause) == [.dependency(jobs: ["job"])]
        )
        _ = try await deliver(farm, worker.id, of: first, index: 0)
        #expect(try await farm.store.runWake().unblocked == [second])
        #expect(try await farm.store.audit() == [])
    }

    struct Unexpected: Error {}
}
