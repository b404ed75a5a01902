import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct JobTests {
    @Test("a submitted job has its images in tasks of the asked size")
    func submit() async throws {
        let farm = try await Farm()
        let id = try await farm.job {
            $0.tasks = [2, 2, 1].map { NewTask(imageCount: $0, cost: 1e12) }
        }
        let job = try #require(try await farm.store.job(id))
        #expect(job.state == .pending)
        #expect(job.specification == #"{"name": "job"}"#)
        #expect(job.images.waiting == 5)
        #expect(job.images.total == 5)
        let tasks = try await farm.store.tasks(of: id)
        #expect(tasks.map(\.state) == [.ready, .ready, .ready])
        let images = try await farm.store.images(of: id, limit: 10)
        #expect(images.map(\.index) == [0, 1, 2, 3, 4])
        let expected = [0, 0, 1, 1, 2].map { tasks[$0].id }
        #expect(images.map(\.task) == expected)
        #expect(
            try await farm.store.images(of: id, afterIndex: 2, limit: 1).map(\.index) == [3]
        )
    }

    @Test("a key of the same digest re-attaches, of another is a conflict, of another owner is new")
    func idempotentSubmit() async throws {
        let farm = try await Farm()
        let first = farm.submission(key: "spring")
        guard case .created(let job) = try await farm.store.submitJob(first) else {
            throw Farm.Unexpected(what: "not created")
        }
        guard
            case .existing(let same) = try await farm.store.submitJob(
                farm.submission(key: "spring")
            )
        else {
            throw Farm.Unexpected(what: "not re-attached")
        }
        #expect(same.id == job.id)
        let changed = farm.submission(key: "spring", digest: "other")
        guard case .conflict(let other) = try await farm.store.submitJob(changed) else {
            throw Farm.Unexpected(what: "no conflict")
        }
        #expect(other.id == job.id)
        let foreign = farm.submission(owner: "bob", key: "spring")
        guard case .created(let bobs) = try await farm.store.submitJob(foreign) else {
            throw Farm.Unexpected(what: "another owner's key is taken")
        }
        #expect(bobs.id != job.id)
        #expect(try await farm.store.job(key: "spring", owner: "bob")?.id == bobs.id)
        #expect(
            try await farm.store.jobs(owner: "ann", before: nil, limit: 9).map(\.id) == [job.id]
        )
        let page = try await farm.store.jobs(owner: nil, before: bobs.id, limit: 9)
        #expect(page.map(\.id) == [job.id])
    }

    @Test("twenty submits of one key side by side make one job")
    func concurrentSubmit() async throws {
        let farm = try await Farm()
        let created = try await withThrowingTaskGroup { group in
            for _ in 0..<20 {
                group.addTask {
                    if case .created = try await farm.store.submitJob(
                        farm.submission(images: 3, key: "once")
                    ) {
                        return 1
                    }
                    return 0
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(created == 1)
        #expect(try await farm.store.jobs(owner: nil, before: nil, limit: 9).count == 1)
    }

    @Test("a job of a hundred thousand images is taken whole, and its first task can be claimed")
    func large() async throws {
        let farm = try await Farm()
        let id = try await farm.job(tasks: 25_000, images: 4)
        let job = try #require(try await farm.store.job(id))
        #expect(job.images.waiting == 100_000)
        #expect(job.taskCount == 25_000)
        let task = try await farm.claimOne(try await farm.worker())
        #expect(task.images.map(\.index) == [0, 1, 2, 3])
        #expect(try await farm.violations() == [])
    }

    @Test("a job after another waits for it, and one after nobody knows what is refused")
    func dependencies() async throws {
        let farm = try await Farm()
        let first = try await farm.job()
        let second = try await farm.job { $0.after = [first] }
        let worker = try await farm.worker()
        let task = try await farm.claimOne(worker)
        #expect(task.job == first)
        #expect(try await farm.claim(worker).isEmpty)
        #expect(try await farm.store.tasks(of: second).map(\.state) == [.blocked])
        _ = try await farm.deliver(task, final: AttemptTotals())
        _ = try await farm.store.runWake()
        #expect(try await farm.claimOne(worker).job == second)
        var lost = farm.submission()
        lost.after = [.random()]
        guard case .unknownDependency = try await farm.store.submitJob(lost) else {
            throw Farm.Unexpected(what: "a dependency that is not there was taken")
        }
    }
}
