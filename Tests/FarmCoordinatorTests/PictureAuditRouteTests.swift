import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct PictureAuditRouteTests {
    /// A farm that audits every picture, with three workers of one class.
    private func scene(
        _ body: @escaping @Sendable (TestFarm, [WorkerID]) async throws -> Void
    ) async throws {
        try await TestFarm.withAPI(auditShare: 1) { farm in
            var workers: [WorkerID] = []
            for name in ["one", "two", "three"] {
                workers.append(try await farm.register(name) { $0.model.numericClass = "c" }.id)
            }
            try await body(farm, workers)
        }
    }

    /// Has a worker render what waits, and runs the duty.
    @discardableResult
    private func render(
        _ farm: TestFarm,
        _ worker: WorkerID,
        _ level: UInt8
    ) async throws -> TaskAssignment {
        let task = try await farm.task(worker)
        let picture = try TestFarm.picture(level)
        let answer = try await farm.deliver(
            task,
            task.images[0].index,
            picture,
            isFinal: true
        )
        #expect(answer.status == .created)
        _ = try await farm.store.runPictureAudits()
        farm.store.queueChanged()
        return task
    }

    @Test("a worker cannot tell a copy from the task that it copies")
    func assignment() async throws {
        try await scene { farm, workers in
            let alice = try await farm.token("alice", .submitter)
            let job = try await farm.submit(
                "{name: spring, parameters: {prompt: a fox, seed: 7}}",
                token: alice
            )
            let original = try await render(farm, workers[0], 1)
            let copy = try await farm.task(workers[1])
            #expect(copy.job == job.id && copy.owner == "alice" && copy.jobName == "spring")
            var disguised = copy
            disguised.fence = original.fence
            disguised.images[0].id = original.images[0].id
            #expect(disguised == original)
            #expect(copy.fence.task != original.fence.task)
            #expect(copy.images[0].id != original.images[0].id)
        }
    }

    @Test("operators see what was found, the owner sees the doubt, and nobody sees the copies")
    func finding() async throws {
        try await scene { farm, workers in
            let alice = try await farm.token("alice", .submitter)
            let job = try await farm.submit("parameters: {prompt: a fox}", token: alice)
            try await render(farm, workers[0], 1)
            try await render(farm, workers[1], 2)
            let open: Page<PictureAuditView> = try await farm.call(.get, "/v1/audits")
            #expect(open.items.map(\.state) == [.disputed])
            #expect(open.items.first?.renderings.map(\.worker) == ["one", "two", nil])
            try await render(farm, workers[2], 2)

            let found: Page<PictureAuditView> = try await farm.call(
                .get,
                "/v1/audits?state=different"
            )
            let audit = try #require(found.items.first)
            #expect(audit.liar == "one" && audit.owner == "alice" && audit.job == job.id)
            let same: PictureAuditView = try await farm.call(.get, "/v1/audits/\(audit.number)")
            #expect(same == audit)
            let pictures: Page<DeliveredPictureView> = try await farm.call(
                .get,
                "/v1/audits/\(audit.number)/pictures"
            )
            #expect(pictures.items.map(\.image) == [audit.image])
            #expect(try await farm.problem(.get, "/v1/audits/999") == .notFound)
            #expect(try await farm.problem(.get, "/v1/audits?state=odd") == .malformed)
            let refusal = try await farm.problem(.get, "/v1/audits", token: alice)
            #expect(refusal == .notAllowed)

            let image: ImageView = try await farm.call(
                .get,
                "/v1/images/\(audit.image)",
                token: alice
            )
            #expect(image.state == .delivered && image.doubt != nil)
            let jobs: Page<JobView> = try await farm.call(.get, "/v1/jobs")
            #expect(jobs.items.map(\.id) == [job.id])
            let answer = try await farm.claim(workers[0])
            #expect(answer.reason == .workerQuarantined)
        }
    }

    @Test("erasing an owner takes the copies of its pictures along")
    func erasure() async throws {
        try await scene { farm, workers in
            let alice = try await farm.token("alice", .submitter)
            _ = try await farm.submit("parameters: {prompt: a fox}", token: alice)
            try await render(farm, workers[0], 1)
            // A dispute: one copy is made, another one waits.
            try await render(farm, workers[1], 2)
            let waiting = try await farm.task(workers[2])
            let view: ErasureView = try await farm.call(.delete, "/v1/accounts/alice")
            #expect(view.jobs == 1 && view.images == 1 && view.liveJobs == 0)
            for level in [UInt8(1), 2] {
                let digest = BlobDigest(of: try TestFarm.picture(level))
                #expect(try await !farm.blobs.contains(digest))
            }
            #expect(try await farm.store.jobs(owner: FarmOwner.audits, limit: 1).isEmpty)
            #expect(try await farm.store.pictureAudits(limit: 1).isEmpty)
            let late = try await farm.deliver(
                waiting,
                waiting.images[0].index,
                try TestFarm.picture(3),
                isFinal: true
            )
            #expect(late.status == .conflict)
            #expect(try await farm.store.audit().isEmpty)
        }
    }

    @Test("the pictures of audits that were decided are erased, too")
    func erasureOfDecided() async throws {
        try await scene { farm, workers in
            let alice = try await farm.token("alice", .submitter)
            _ = try await farm.submit("parameters: {prompt: a fox}", token: alice)
            for (worker, level) in zip(workers, [UInt8(1), 2, 2]) {
                try await render(farm, worker, level)
            }
            let other = BlobDigest(of: try TestFarm.picture(2))
            #expect(try await farm.blobs.contains(other))
            let _: ErasureView = try await farm.call(.delete, "/v1/accounts/alice")
            #expect(try await !farm.blobs.contains(other))
        }
    }

    @Test("no token is of an owner of the farm's own")
    func reserved() async throws {
        try await TestFarm.withAPI { farm in
            let problem = try await farm.problem(
                .post,
                "/v1/tokens",
                TokenRequest(owner: FarmOwner.audits, role: .admin)
            )
            #expect(problem == .malformed)
        }
    }
}
