import FarmModel
import Postgres
import TestSupport
import Testing

@testable import FarmStore

/// Ends of jobs that are foreseen from rows.
@Suite(.database, .timeLimit(.minutes(10))) struct ForecastTests {
    private func forecast(_ farm: Farm, _ job: JobID) async throws -> EndForecast? {
        let record = try #require(try await farm.store.job(job))
        return try await farm.store.forecast(record, in: farm.store.queueStanding())
    }

    /// Delivers images of a task, and the whole of it with what the attempt took.
    private func deliver(
        _ farm: Farm,
        _ task: ClaimedTask,
        _ images: Range<Int>? = nil,
        took seconds: Double? = nil
    ) async throws {
        for image in task.images[images ?? task.images.indices] {
            let isLast = images == nil && image.index == task.images.last?.index
            _ = try await farm.deliver(
                task,
                index: image.index,
                final: isLast ? AttemptTotals(busySeconds: seconds ?? 0) : nil
            )
        }
    }

    /// Puts the deliveries of a job so many seconds apart.
    private func spread(_ farm: Farm, _ job: JobID, by seconds: Double) async throws {
        try await farm.pool.execute(
            """
            UPDATE event SET at = now() - make_interval(secs => (20 - number) * \(seconds)::double precision)
            WHERE job_id = \(job) AND kind = 'image.delivered'
            """
        )
    }

    @Test("a job's end follows from its first deliveries, before any task of it is over")
    func firstDeliveries() async throws {
        let farm = try await Farm()
        let worker = try await farm.worker { $0.speed = 1e12 }
        // 20 images that are predicted to take a quarter of a second each.
        let job = try await farm.job(tasks: 5, images: 4)
        let before = try #require(try await forecast(farm, job))
        #expect(abs(before.seconds - 5) < 0.5)
        let task = try await farm.claimOne(worker)
        try await deliver(farm, task, 0..<3)
        try await spread(farm, job, by: 3)
        let end = try #require(try await forecast(farm, job))
        #expect(abs(end.seconds - 17 * 3) < 1)
        // What was read of the queue may be older than its deliveries.
        let standing = try await farm.store.queueStanding()
        try await deliver(farm, task, 3..<4)
        try await spread(farm, job, by: 3)
        let record = try #require(try await farm.store.job(job))
        let after = try #require(try await farm.store.forecast(record, in: standing))
        #expect(abs(after.seconds - 16 * 3) < 1)
        #expect(abs(end.earliest - 0.75 * end.seconds) < 0.01)
        #expect(abs(end.latest - 1.25 * end.seconds) < 0.01)
    }

    @Test("a job that has delivered nothing takes what the model's jobs before it took")
    func others() async throws {
        let farm = try await Farm()
        let worker = try await farm.worker { $0.speed = 1e12 }
        _ = try await farm.job(tasks: 5, images: 4)
        for _ in 1...5 {
            try await deliver(farm, try await farm.claimOne(worker), took: 12)
        }
        let job = try await farm.job(tasks: 5, images: 4)
        let end = try #require(try await forecast(farm, job))
        #expect(abs(end.seconds - 60) < 1)
        #expect(end.latest < 1.35 * end.seconds)
        // So does the work that the fleet is counted by.
        let pool = try #require(try await farm.store.capacity(within: .seconds(10)).first)
        #expect(abs((pool.workSeconds ?? 0) - 60) < 1)
        #expect(pool.recommended == 6)
        // Another worker as fast takes as long, though it has rendered nothing.
        _ = try await farm.worker("other") { $0.speed = 1e12 }
        let shared = try #require(try await forecast(farm, job))
        #expect(abs(shared.seconds - 36) < 1)
        // Another model's jobs are no measure.
        _ = try await farm.worker("third", digest: "another") { $0.speed = 1e12 }
        let foreign = try await farm.job(tasks: 5, images: 4) {
            $0.modelName = "flux-another"
            $0.modelDigest = "another"
        }
        #expect(abs((try #require(try await forecast(farm, foreign))).seconds - 5) < 0.5)
    }

    @Test("what is left of a job counts by its own cost")
    func rest() async throws {
        let farm = try await Farm()
        let worker = try await farm.worker { $0.speed = 1e12 }
        let job = try await farm.job {
            $0.tasks = (0..<10).map { NewTask(imageCount: 1, cost: $0 < 5 ? 1e12 : 4e12) }
        }
        let whole = try #require(try await forecast(farm, job))
        #expect(abs(whole.seconds - 25) < 0.5)
        try await deliver(farm, try await farm.claimOne(worker), took: 1)
        _ = try await farm.claimOne(worker)
        let end = try #require(try await forecast(farm, job))
        // Of the attempt's own second nothing but itself is known.
        #expect(abs(end.seconds - 24) < 1)
    }

    @Test("the picture that a worker is at counts for what is left of it")
    func underWay() async throws {
        let farm = try await Farm()
        let worker = try await farm.worker { $0.speed = 1e10 }
        let job = try await farm.job()
        let task = try await farm.claimOne(worker)
        #expect(abs(try #require(try await forecast(farm, job)).seconds - 100) < 2)
        let progress = AttemptProgress(fence: task.fence, image: 0, step: 6, steps: 10)
        _ = try await farm.store.heartbeat(worker: worker, HeartbeatRequest(running: [progress]))
        #expect(abs(try #require(try await forecast(farm, job)).seconds - 40) < 2)
        try await farm.pool.execute("UPDATE lease SET stepped_at = now() - interval '25 s'")
        #expect(abs(try #require(try await forecast(farm, job)).seconds - 15) < 2)
    }
}
