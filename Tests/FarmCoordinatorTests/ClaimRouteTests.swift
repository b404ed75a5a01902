import FarmModel
import FarmStore
import HTTPTypes
import HummingbirdTesting
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct ClaimRouteTests {
    private func leases(_ farm: TestFarm, _ worker: WorkerID) async throws -> Int {
        try #require(try await farm.store.worker(worker)).leases.count
    }

    @Test("a process whose name was taken over claims nothing and registers again")
    func oldEpoch() async throws {
        try await TestFarm.withAPI { farm in
            let (old, new) = (try await farm.register(), try await farm.register())
            _ = try await farm.submit("parameters: {prompt: a}")
            #expect(old.id == new.id)
            let path = "/v1/workers/\(new.id)/claim"
            let late = ClaimRequest(epoch: old.epoch, waitSeconds: 0)
            #expect(try await farm.problem(.post, path, late) == .notFound)
            #expect(try await leases(farm, new.id) == 0)
            let current = ClaimRequest(epoch: new.epoch, waitSeconds: 0)
            let answer: ClaimAnswer = try await farm.call(.post, path, current)
            #expect(answer.tasks.count == 1)
        }
    }

    @Test("what was claimed and cannot be answered is given back unharmed")
    func unanswerable() async throws {
        let pool = try TestDatabase.pool()
        try await TestFarm.withAPI(pool: pool) { farm in
            let worker = try await farm.register().id
            _ = try await farm.submit("parameters: {prompt: a}")
            let fence = try await farm.task(worker).fence
            _ = try await farm.store.releaseAttempt(fence)
            try await pool.execute("ALTER TABLE checkpoint RENAME TO elsewhere")
            let problem = try await farm.problem(
                .post,
                "/v1/workers/\(worker)/claim",
                ClaimRequest(waitSeconds: 0)
            )
            #expect(problem == .internal)
            #expect(try await leases(farm, worker) == 0)
            let task = try #require(try await farm.store.task(fence.task))
            #expect((task.state, task.failures, task.attempts) == (.ready, 0, 2))
            try await pool.execute("ALTER TABLE elsewhere RENAME TO checkpoint")
            #expect(try await farm.claim(worker).tasks.count == 1)
        }
    }

    @Test("a job that nobody can read is given up, and hinders neither claims nor lists")
    func unreadable() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let submission = JobSubmission(
                owner: "admin",
                name: "first",
                // As 0.1.0 kept it: without the model's digest and what was left open.
                specification: """
                    {"combination": "prompt", "limits": {"max_attempts": 5}, "name": "first",
                     "output": {"format": "png", "name": "{job}/{index}.png"},
                     "parameters": {"prompt": ["a"]}, "priority": 50, "render": {},
                     "specification": "dreamfarm/1"}
                    """,
                canonicalDigest: "d",
                modelName: TestFarm.model.name,
                modelDigest: TestFarm.model.digest,
                tasks: [NewTask(imageCount: 2, cost: 1e9)]
            )
            guard case .created(let old) = try await farm.store.submitJob(submission) else {
                Issue.record("the job is not new")
                return
            }
            _ = try await farm.submit("parameters: {prompt: b}")
            #expect(try await farm.claim(worker).tasks.isEmpty)
            let view: JobView = try await farm.call(.get, "/v1/jobs/\(old.id)")
            #expect(view.state == .failed)
            #expect(view.reason?.contains("submit it again") == true)
            let images: Page<ImageView> = try await farm.call(.get, "/v1/jobs/\(old.id)/images")
            #expect(images.items.map(\.name) == ["0.png", "1.png"])
            #expect(images.items.allSatisfy { $0.settings == nil })
            #expect(try await farm.send(.get, "/v1/jobs/\(old.id)/archive").status == .ok)
            #expect(try await leases(farm, worker) == 0)
            #expect(try await farm.claim(worker).tasks.count == 1)
            #expect(try await farm.store.audit() == [])
        }
    }

    @Test("a failure that names its image fails that one, and the others are claimed again")
    func namedFailure() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit(
                "parameters: {prompt: a, seed: 1-3}\nchunk: {count: 3}"
            )
            let fence = try await farm.task(worker).fence
            let failure = FailureRequest(
                fence: fence,
                failureClass: .deterministic,
                message: "the reference is no picture",
                image: 1
            )
            let path = "/v1/attempts/\(fence.attempt)/fail"
            let ended: AttemptAnswer = try await farm.call(.post, path, failure)
            #expect(ended.task == .ready)
            let images: Page<ImageView> = try await farm.call(.get, "/v1/jobs/\(job.id)/images")
            #expect(images.items.map(\.state) == [.waiting, .failed, .waiting])
            #expect(try await farm.task(worker).images.map(\.index) == [0, 2])
        }
    }
}
