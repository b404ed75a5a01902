import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(2))) struct JobTests {
    @Test(
        "the states of the enums are those that the tables admit",
        arguments: [
            ("job_state_known", JobState.allCases.map(\.rawValue)),
            ("task_state_known", TaskState.allCases.map(\.rawValue)),
            ("image_state_known", ImageState.allCases.map(\.rawValue)),
            ("worker_state_check", WorkerState.allCases.map(\.rawValue)),
        ]
    )
    func statesMatch(constraint: String, states: [String]) async throws {
        let farm = try await Farm()
        let definition = try #require(
            try await farm.pool.query(
                """
                SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint
                WHERE conname = \(constraint) AND connamespace = current_schema()::regnamespace
                """
            ).first
        ).decode("text", as: String.self)
        let quoted = definition.split(separator: "'", omittingEmptySubsequences: false)
            .enumerated().filter { !$0.offset.isMultiple(of: 2) }.map { String($0.element) }
        #expect(Set(quoted) == Set(states))
    }

    @Test("a submitted job has its images in tasks of the asked size")
    func submit() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 5) { $0.imagesPerTask = 2 }
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
        guard case .existing(let same) = try await farm.store.submitJob(first) else {
            throw Farm.Unexpected(what: "not re-attached")
        }
        #expect(same.id == job.id)
        let changed = farm.submission(key: "spring", digest: "other")
        guard case .conflict(let other) = try await farm.store.submitJob(changed) else {
            throw Farm.Unexpected(what: "no conflict")
        }
        #expect(other.id == job.id)
        var foreign = first
        foreign.owner = "bob"
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
        let submission = farm.submission(images: 3, key: "once")
        let created = try await withThrowingTaskGroup { group in
            for _ in 0..<20 {
                group.addTask {
                    if case .created = try await farm.store.submitJob(submission) { return 1 }
                    return 0
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(created == 1)
        #expect(try await farm.store.jobs(owner: nil, before: nil, limit: 9).count == 1)
    }

    @Test("two images of one name are refused and leave nothing behind")
    func doubleName() async throws {
        let farm = try await Farm()
        var submission = farm.submission(images: 2)
        submission.images[1].name = "0.png"
        let error = try await #require(throws: DatabaseError.self) {
            _ = try await farm.store.submitJob(submission)
        }
        #expect(error.constraint == "image_name_once")
        #expect(try await farm.store.jobs(owner: nil, before: nil, limit: 9).isEmpty)
    }

    @Test("a cancelled job's tasks are fenced off, what is delivered stays")
    func cancel() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 3)
        let worker = try await farm.worker()
        let done = try await farm.claimOne(worker)
        #expect(try await farm.deliver(done) == .delivered)
        #expect(try await farm.store.completeAttempt(done.fence) == .done(.succeeded))
        let running = try await farm.claimOne(worker)
        #expect(try await farm.store.cancelJob(id) == .cancelled(leased: 1))
        #expect(try await farm.deliver(running) == .stale)
        #expect(try await farm.store.completeAttempt(running.fence) == .stale)
        #expect(
            try await farm.store.heartbeat(worker: worker, attempts: [running.fence])
                == .answer(extended: [], cancel: [running.fence])
        )
        let job = try #require(try await farm.store.job(id))
        #expect(job.state == .cancelled)
        #expect(job.images.delivered == 1)
        #expect(job.images.cancelled == 2)
        #expect(try await farm.claim(worker).isEmpty)
        #expect(try await farm.store.cancelJob(id) == .alreadyOver(.cancelled))
        #expect(try await farm.store.cancelJob(JobID.random()) == .notFound)
    }
}
