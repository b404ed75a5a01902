import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// Jobs that were submitted before a worker told its speed.
@Suite(.database, .timeLimit(.minutes(10))) struct SizingTests {
    /// A job of images of 1e12 operations whose tasks are to take 10 seconds.
    private func job(_ farm: Farm, images: Int) async throws -> JobID {
        try await farm.job(tasks: images) { $0.targetSeconds = 10 }
    }

    private func fast(_ farm: Farm, _ name: String = "fast") async throws -> WorkerID {
        try await farm.worker(name) { $0.speed = 1e12 }
    }

    private func sizes(_ farm: Farm, _ job: JobID) async throws -> [[Int]] {
        try await farm.pool.query(
            """
            SELECT array_agg(index ORDER BY index) AS images FROM image WHERE job_id = \(job)
            GROUP BY task_id ORDER BY min(index)
            """
        ).map { try $0.decode("images") }
    }

    @Test("tasks are cut when the first worker tells its speed")
    func cut() async throws {
        let farm = try await Farm()
        let job = try await job(farm, images: 25)
        #expect(try await farm.store.runWake().sized == 0)
        _ = try await farm.worker("another", digest: "another") { $0.speed = 1e12 }
        _ = try await farm.worker("unmeasured")
        #expect(try await farm.store.runWake().sized == 0)
        let worker = try await fast(farm)
        #expect(try await farm.store.runWake().sized == 1)
        #expect(try await farm.store.runWake().sized == 0)
        // Two workers, four tasks each.
        #expect(
            try await sizes(farm, job)
                == stride(from: 0, to: 25, by: 4).map {
                    Array($0..<min($0 + 4, 25))
                }
        )
        let count = try await farm.pool.query("SELECT task_count FROM job").first
        #expect(try count?.decode("task_count", as: Int.self) == 7)
        #expect(try await farm.violations() == [])
        let first = try await farm.claimOne(worker)
        #expect(first.images.map(\.index) == [0, 1, 2, 3])
        #expect(first.cost == 4e12)
        for task in [first] + (try await farm.claim(worker, limit: 10)) {
            for image in task.images {
                let isLast = image.index == task.images.last?.index
                _ = try await farm.deliver(
                    task,
                    index: image.index,
                    final: isLast ? AttemptTotals() : nil
                )
            }
        }
        #expect(try await farm.state(job) == .succeeded)
        #expect(try await farm.violations() == [])
    }

    @Test("only workers that can run the tasks tell how they are cut")
    func ableWorkers() async throws {
        let farm = try await Farm()
        let job = try await farm.job(tasks: 40) {
            $0.targetSeconds = 10
            $0.requirement.tags = ["amx"]
        }
        let group = try await farm.job(tasks: 40) {
            $0.targetSeconds = 10
            $0.requirement.groupSize = 2
        }
        _ = try await fast(farm)
        #expect(try await farm.store.runWake().sized == 0)
        _ = try await farm.worker("tagged") {
            $0.tags = ["amx"]
            $0.speed = 1e12
        }
        #expect(try await farm.store.runWake().sized == 1)
        #expect(try await sizes(farm, job).map(\.count) == [10, 10, 10, 10])
        #expect(try await sizes(farm, group).count == 40)
        #expect(try await farm.violations() == [])
    }

    @Test("a task that was claimed before stays as it is")
    func claimedBefore() async throws {
        let farm = try await Farm()
        let job = try await job(farm, images: 8)
        let early = try await farm.claim(try await farm.worker("early"), limit: 2)
        let released = try #require(early.last)
        _ = try await farm.store.releaseAttempt(released.fence)
        _ = try await fast(farm)
        #expect(try await farm.store.runWake().sized == 1)
        #expect(try await sizes(farm, job) == [[0], [1], [2], [3], [4], [5], [6], [7]])
        let large = try await self.job(farm, images: 40)
        let worker = try await farm.worker("late")
        let claimed = try await farm.claim(worker, limit: 9).filter { $0.job == large }
        #expect(claimed.map(\.images.count) == [1, 1])
        #expect(try await farm.store.runWake().sized == 1)
        #expect(try await sizes(farm, large).prefix(3).map(\.count) == [1, 1, 2])
        #expect(try await farm.violations() == [])
    }

    @Test("a job is whole though workers claim, and it is cancelled, while it is cut")
    func race() async throws {
        let farm = try await Farm()
        let cancelled = try await job(farm, images: 3000)
        let job = try await job(farm, images: 12_000)
        var workers: [WorkerID] = []
        for number in 0..<4 { workers.append(try await fast(farm, "w\(number)")) }
        let claimed = try await withThrowingTaskGroup(of: [ClaimedTask].self) { [workers] group in
            group.addTask {
                _ = try await farm.store.runWake()
                return []
            }
            group.addTask {
                _ = try await farm.store.cancelJob(cancelled, mode: .now, by: "ann")
                return []
            }
            for worker in workers {
                group.addTask {
                    var tasks: [ClaimedTask] = []
                    for _ in 0..<40 { tasks += try await farm.claim(worker, limit: 2) }
                    return tasks
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(try await farm.violations() == [])
        let images = claimed.filter { $0.job == job }.flatMap { $0.images.map(\.index) }
        #expect(Set(images).count == images.count)
        _ = try await farm.store.runWake()
        let sizes = try await sizes(farm, job)
        #expect(sizes.flatMap(\.self) == Array(0..<12_000))
        #expect(sizes.count < 2000)
        #expect(try await farm.violations() == [])
    }
}
