import BlobStore
import FarmModel
import FarmStore
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct ErasureTests {
    /// Two owners with a job each of the same reference, and a picture each.
    private func scene(
        _ body:
            @escaping @Sendable (TestFarm, _ shared: BlobDigest, _ own: BlobDigest) async throws
            -> Void
    ) async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let reference = try TestFarm.picture(1)
            let shared = BlobDigest(of: reference)
            var own: BlobDigest?
            for (owner, level) in [("alice", UInt8(10)), ("bob", UInt8(20))] {
                let token = try await farm.token(owner, .submitter)
                _ = try await farm.send(.put, "/v1/blobs/\(shared)", reference, as: token)
                let job = """
                    parameters:
                      prompt: "[ref#1]"
                      references: [[{image: a.png, task: ip, sha256: \(shared)}]]
                    """
                _ = try await farm.submit(job, token: token)
                let task = try await farm.task(worker)
                let picture = try TestFarm.picture(level)
                _ = try await farm.deliver(task, 0, picture, isFinal: true)
                if owner == "alice" { own = BlobDigest(of: picture) }
            }
            try await body(farm, shared, try #require(own))
        }
    }

    @Test("an erased owner leaves nothing, and takes nothing of anybody else along")
    func erasure() async throws {
        try await scene { farm, shared, own in
            let alice = try await farm.token("alice", .submitter)
            _ = try await farm.submit("parameters: {prompt: a, seed: 1-2}", token: alice)
            let preview: ErasureView = try await farm.call(
                .delete,
                "/v1/accounts/alice?what_if=true"
            )
            #expect(preview.jobs == 2 && preview.liveJobs == 1 && preview.outputs == 1)
            #expect(preview.tokens == 2 && preview.blobs == 1 && !preview.isErased)
            #expect(try await farm.blobs.contains(own))

            let view: ErasureView = try await farm.call(.delete, "/v1/accounts/alice")
            #expect(view.isErased && view.jobs == 2 && view.liveJobs == 1 && view.blobs == 1)
            #expect(view.images == 3 && view.outputs == 1 && view.tokens == 2)
            #expect(try await !farm.blobs.contains(own))
            #expect(try await farm.blobs.contains(shared))
            #expect(try await farm.send(.get, "/v1/jobs", as: alice).status == .unauthorized)
            let jobs = try await farm.store.jobs(limit: 10)
            #expect(jobs.map(\.owner) == ["bob"])
            #expect(try await farm.store.audit().isEmpty)
            let after: ErasureView = try await farm.call(
                .delete,
                "/v1/accounts/alice?what_if=true"
            )
            #expect(after.isEmpty)
            let trail: Page<AuditView> = try await farm.call(.get, "/v1/audit")
            #expect(trail.items.contains { $0.action == "owner.erased" && $0.target == "alice" })

            let second: ErasureView = try await farm.call(.delete, "/v1/accounts/bob")
            #expect(second.blobs == 2)
            #expect(try await !farm.blobs.contains(shared))
        }
    }

    @Test("a worker that renders for an owner is stopped, and cannot deliver what was erased")
    func running() async throws {
        try await scene { farm, _, _ in
            let alice = try await farm.token("alice", .submitter)
            _ = try await farm.submit("parameters: {prompt: a}", token: alice)
            let worker = try await farm.register("other").id
            let task = try await farm.task(worker)
            let _: ErasureView = try await farm.call(.delete, "/v1/accounts/alice")
            let picture = try TestFarm.picture(33)
            let status = try await farm.deliver(task, 0, picture, isFinal: true).status
            #expect(status == .conflict || status == .notFound)
            #expect(try await farm.store.jobs(owner: "alice", limit: 1).isEmpty)
        }
    }

    @Test("the checkpoint of what is rendering goes with it, though the job's end takes its row")
    func checkpoints() async throws {
        try await scene { farm, _, _ in
            let alice = try await farm.token("alice", .submitter)
            let job = try await farm.submit("parameters: {prompt: a}", token: alice)
            let worker = try await farm.register("other").id
            let task = try await farm.task(worker)
            #expect(task.job == job.id)
            let data = Data("half a face".utf8)
            let request = CheckpointRequest(
                fence: task.fence,
                imageIndex: 0,
                step: 2,
                numericClass: "float32/test"
            )
            #expect(try await farm.send(.put, request.path, data).status == .created)
            let digest = BlobDigest(of: data)
            #expect(try await farm.blobs.contains(digest))
            let view: ErasureView = try await farm.call(.delete, "/v1/accounts/alice")
            #expect(view.liveJobs == 1 && view.blobs == 2)
            #expect(try await !farm.blobs.contains(digest))
        }
    }

    @Test("an erasure that was cut short removes what it had left when it is asked for again")
    func cutShort() async throws {
        try await scene { farm, _, own in
            _ = try await farm.store.eraseTokens(of: "alice", by: "admin")
            #expect(try await farm.store.eraseJobs(of: "alice").outputs == 1)
            #expect(try await farm.blobs.contains(own))
            let begun: Page<AuditView> = try await farm.call(
                .get,
                "/v1/audit?action=owner.erasure_begun"
            )
            #expect(begun.items.map(\.target) == ["alice"])
            let preview: ErasureView = try await farm.call(
                .delete,
                "/v1/accounts/alice?what_if=true"
            )
            #expect(preview.blobs == 1 && !preview.isEmpty)
            let view: ErasureView = try await farm.call(.delete, "/v1/accounts/alice")
            #expect(view.blobs == 1 && view.isErased)
            #expect(try await !farm.blobs.contains(own))
        }
    }

    @Test("an owner that goes on submitting is not erased for ever")
    func stillSubmits() async throws {
        try await scene { farm, _, _ in
            let alice = try await farm.token("alice", .submitter)
            for _ in 0..<25 {
                _ = try await farm.submit("parameters: {prompt: a}", token: alice)
            }
            var erasure = OwnerErasure(store: farm.store, blobs: farm.blobs, owner: "alice")
            erasure.patience = -60
            await #expect(throws: OwnerErasure.StillSubmits.self) {
                try await erasure.run(by: "admin")
            }
            erasure.patience = 60
            #expect(try await erasure.run(by: "admin").isErased)
            #expect(try await farm.store.jobs(owner: "alice", limit: 1).isEmpty)
        }
    }

    @Test("what an erased owner still sends to a coordinator that remembers its token is refused")
    func afterwards() async throws {
        try await scene { farm, shared, _ in
            let alice = try await farm.token("alice", .submitter)
            #expect(try await farm.send(.get, "/v1/jobs", as: alice).status == .ok)
            // As another coordinator does it.
            let erasure = OwnerErasure(store: farm.store, blobs: farm.blobs, owner: "alice")
            #expect(try await erasure.run(by: "admin").isErased)
            #expect(try await farm.send(.get, "/v1/jobs", as: alice).status == .ok)
            let bytes = try TestFarm.picture(1)
            let path = "/v1/blobs/\(shared)"
            #expect(try await farm.send(.put, path, bytes, as: alice).status == .unauthorized)
            let again = try await farm.token("alice", .submitter)
            #expect(try await farm.send(.get, "/v1/jobs", as: again).status == .ok)
            _ = try await farm.store.eraseTokens(of: "alice", by: "admin")
            let job = Data(#"{"parameters": {"prompt": "a"}}"#.utf8)
            #expect(try await farm.send(.post, "/v1/jobs", job, as: again).status == .unauthorized)
            #expect(try await farm.store.jobs(owner: "alice", limit: 1).isEmpty)
            #expect(try await farm.store.held(by: "alice", among: [shared]).isEmpty)
        }
    }

    @Test("nobody erases the owner of the own token, nor an owner while a backup is made")
    func refusals() async throws {
        try await scene { farm, _, own in
            #expect(try await farm.problem(.delete, "/v1/accounts/admin") == .wrongState)
            let kind = try await farm.store.withBlobsHeld {
                try await farm.problem(.delete, "/v1/accounts/alice")
            }
            #expect(kind == .wrongState)
            #expect(try await farm.blobs.contains(own))
            #expect(try await farm.store.jobs(owner: "alice", limit: 1).count == 1)
        }
    }
}
