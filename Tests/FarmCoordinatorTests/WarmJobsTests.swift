import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct WarmJobsTests {
    private let keys = ["a", "b", "c"].map { ArtifactKey(.prompt, determinants: $0) }

    @Test("a worker is warm for the jobs that need a condition that it has")
    func jobs() {
        let warm = WarmJobs()
        let (worker, other) = (WorkerID.random(), WorkerID.random())
        let jobs = (0..<3).map { _ in JobID.random() }
        warm.note([keys[0], keys[1]], of: worker)
        warm.note(keys[0], neededBy: jobs[0])
        warm.note(keys[1], neededBy: jobs[0])
        warm.note(keys[1], neededBy: jobs[1])
        warm.note(keys[2], neededBy: jobs[2])
        #expect(warm.jobs(of: worker) == [jobs[0], jobs[1]])
        #expect(warm.jobs(of: other).isEmpty)
        warm.note([keys[2]], of: worker)
        #expect(warm.jobs(of: worker) == [jobs[2]])
        warm.forget(worker)
        #expect(warm.jobs(of: worker).isEmpty)
    }

    @Test("what is remembered is bounded")
    func bounds() {
        let warm = WarmJobs(capacity: 2)
        let workers = (0..<3).map { _ in WorkerID.random() }
        let latest = JobID.random()
        for _ in 0..<1000 { warm.note(keys[0], neededBy: JobID.random()) }
        warm.note(keys[0], neededBy: latest)
        for worker in workers { warm.note([keys[0]], of: worker) }
        #expect(warm.jobs(of: workers[0]).isEmpty)
        #expect(warm.jobs(of: workers[2]).contains(latest))
        #expect(warm.jobs(of: workers[2]).count <= 64)
        for key in keys { warm.note(key, neededBy: latest) }
        #expect(warm.jobs(of: workers[2]).isEmpty)
    }

    @Test("a worker that says what it has gets the job that needs it")
    func placement() async throws {
        try await TestFarm.withAPI { farm in
            func register(_ name: String, _ warm: [ArtifactKey]) async throws -> WorkerID {
                var request = RegistrationRequest(name: name, model: TestFarm.model)
                request.warmArtifacts = warm
                let answer: RegistrationAnswer = try await farm.call(.post, "/v1/workers", request)
                return answer.id
            }
            let maker = try await register("maker", [])
            func submit(_ prompt: String) async throws -> JobView {
                try await farm.submit(
                    "parameters: {prompt: \(prompt), seed: 1-4}\nchunk: {count: 1}"
                )
            }
            let (older, later) = (try await submit("a"), try await submit("b"))
            // Under a lease of the later job the farm learns what that needs.
            _ = try await farm.send(.post, "/v1/jobs/\(older.id)/pause")
            let task = try await farm.task(maker)
            #expect(task.job == later.id)
            let path = keys[1].path(for: task.fence)
            #expect(try await farm.send(.get, path).status == .notFound)
            _ = try await farm.send(.post, "/v1/jobs/\(older.id)/resume")
            farm.store.queueChanged()
            let warm = try await register("warm", [keys[0], keys[1]])
            #expect(try await farm.task(warm).job == later.id)
            #expect(try await farm.task(maker).job == older.id)
            var beat = HeartbeatRequest()
            _ = try await farm.call(
                .post,
                "/v1/workers/\(warm)/heartbeat",
                beat,
                as: HeartbeatAnswer.self
            )
            #expect(try await farm.task(warm).job == later.id)
            beat.warmArtifacts = [keys[0]]
            _ = try await farm.call(
                .post,
                "/v1/workers/\(warm)/heartbeat",
                beat,
                as: HeartbeatAnswer.self
            )
            #expect(try await farm.task(warm).job == older.id)
        }
    }
}
