import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct AttemptTests {
    @Test("a task goes from claim through delivery to a picture that can be fetched")
    func delivery() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("name: n\nparameters: {prompt: a, seed: 5}")
            let task = try await farm.task(worker)
            #expect(task.images.map(\.settings.seed) == [5])
            #expect(task.jobName == "n")
            #expect(task.owner == "admin")
            #expect(task.checkpoints.isEmpty)
            let empty = try await farm.claim(worker)
            #expect(empty.tasks.isEmpty)
            #expect(empty.reason != nil)

            let path = "/v1/attempts/\(task.fence.attempt)"
            let end = AttemptRequest(fence: task.fence)
            #expect(try await farm.problem(.post, path + "/complete", end) == .wrongState)
            let picture = try TestFarm.picture()
            var old = task
            old.fence.epoch += 1
            #expect(try await farm.deliver(old, 0, picture).status == .conflict)
            #expect(try await farm.deliver(task, 0, picture).status == .created)
            #expect(try await farm.deliver(task, 0, picture).status == .ok)
            let done: AttemptAnswer = try await farm.call(.post, path + "/complete", end)
            #expect(done.task == .succeeded)

            let view: JobView = try await farm.call(.get, "/v1/jobs/\(job.id)")
            #expect(view.state == .succeeded)
            #expect(view.images.delivered == 1)
            let image = task.images[0].id
            let content = try await farm.send(.get, "/v1/images/\(image)/content")
            #expect(Data(content.body.readableBytesView) == picture)
            #expect(content.headers[.contentType] == "image/png")
            let one: ImageView = try await farm.call(.get, "/v1/images/\(image)")
            #expect(one.digest == BlobDigest(of: picture).rawValue)
            #expect(one.attempt == task.fence.attempt)
        }
    }

    @Test(
        "bytes that are not those of a delivery's digest, or not those delivered before, count for nothing"
    )
    func otherBytes() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker)
            let picture = try TestFarm.picture()
            let said = DeliveryRequest(
                fence: task.fence,
                imageIndex: 0,
                isFinal: true,
                digest: BlobDigest(of: picture)
            )
            let other = try TestFarm.picture(7)
            for bytes in [other, picture.dropLast(), Data()] {
                let answer = try await farm.send(.put, said.path, bytes)
                #expect(answer.status == .unprocessableContent)
            }
            let before: JobView = try await farm.call(.get, "/v1/jobs/\(job.id)")
            #expect(before.images.delivered == 0)
            #expect(try await farm.send(.put, said.path, picture).status == .created)
            #expect(try await farm.send(.put, said.path, picture).status == .ok)
            let again = DeliveryRequest(fence: task.fence, imageIndex: 0, isFinal: true)
            #expect(try await farm.send(.put, again.path, other).status == .conflict)
            let image: ImageView = try await farm.call(.get, "/v1/images/\(task.images[0].id)")
            #expect(image.digest == BlobDigest(of: picture).rawValue)
        }
    }

    @Test("a final delivery ends the attempt in the same call")
    func final() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker)
            let response = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
            let answer = try FarmJSON.decode(
                DeliveryAnswer.self,
                from: Data(response.body.readableBytesView)
            )
            #expect(answer.task == .succeeded)
            let view: JobView = try await farm.call(.get, "/v1/jobs/\(job.id)")
            #expect(view.state == .succeeded)
            let attempts: Page<AttemptView> = try await farm.call(
                .get,
                "/v1/tasks/\(task.fence.task)/attempts"
            )
            #expect(attempts.items.map(\.id) == [task.fence.attempt])
            #expect(attempts.items.map(\.outcome) == [.succeeded])
        }
    }

    @Test("a failure that will not pass fails the job with its message")
    func failure() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a}")
            let fence = try await farm.task(worker).fence
            let failure = FailureRequest(
                fence: fence,
                failureClass: .deterministic,
                message: "the reference is no picture"
            )
            let path = "/v1/attempts/\(fence.attempt)/fail"
            let ended: AttemptAnswer = try await farm.call(.post, path, failure)
            #expect(ended.task == .failed)
            let images: Page<ImageView> = try await farm.call(.get, "/v1/jobs/\(job.id)/images")
            #expect(images.items.first?.failure?.message == "the reference is no picture")
            #expect(images.items.first?.state == .failed)
            let view: JobView = try await farm.call(.get, "/v1/jobs/\(job.id)")
            #expect(view.state == .failed)
            let retried: JobView = try await farm.call(.post, "/v1/jobs/\(job.id)/retry")
            #expect(retried.state == .running)
            #expect(retried.images.failed == 0)
        }
    }

    @Test("cancelling a job tells its worker at the next heartbeat")
    func cancel() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            let job = try await farm.submit("parameters: {prompt: a}")
            let fence = try await farm.task(worker.id).fence
            let progress = AttemptProgress(fence: fence, image: 0, step: 1, steps: 4)
            let beat = HeartbeatRequest(epoch: worker.epoch, state: .busy, running: [progress])
            let path = "/v1/workers/\(worker.id)/heartbeat"
            let before: HeartbeatAnswer = try await farm.call(.post, path, beat)
            #expect(before.cancel.isEmpty)
            #expect(before.stale.isEmpty)
            let view: JobView = try await farm.call(
                .post,
                "/v1/jobs/\(job.id)/cancel?mode=now"
            )
            #expect(view.state == .cancelled)
            let after: HeartbeatAnswer = try await farm.call(.post, path, beat)
            #expect(after.cancel == [CancelOrder(attempt: fence.attempt, mode: .now)])
            let wrong = try await farm.problem(.post, "/v1/jobs/\(job.id)/cancel?mode=soon")
            #expect(wrong == .malformed)
        }
    }

    @Test("what a heartbeat says is seen at the task, the worker and the image")
    func heartbeat() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register("node")
            _ = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker.id)
            let picture = try TestFarm.picture()
            let progress = AttemptProgress(
                fence: task.fence,
                phase: .denoising,
                image: 0,
                step: 2,
                steps: 4,
                stepSeconds: 0.5,
                preview: PicturePreview(mediaType: "image/png", data: picture)
            )
            var beat = HeartbeatRequest(epoch: worker.epoch, state: .busy, running: [progress])
            beat.log = [
                LogLine(
                    attempt: task.fence.attempt,
                    number: 0,
                    at: Date(timeIntervalSince1970: 1),
                    level: .info,
                    text: "hello"
                )
            ]
            let path = "/v1/workers/\(worker.id)/heartbeat"
            let _: HeartbeatAnswer = try await farm.call(.post, path, beat)
            let view: TaskView = try await farm.call(.get, "/v1/tasks/\(task.fence.task)")
            #expect(view.state == .leased)
            #expect(view.progress?.step == 2)
            #expect(view.workerName == "node")
            let seen: WorkerView = try await farm.call(.get, "/v1/workers/node")
            #expect(seen.state == .busy)
            #expect(seen.running?.map(\.phase) == [.denoising])
            let preview = try await farm.send(.get, "/v1/images/\(task.images[0].id)/preview")
            #expect(Data(preview.body.readableBytesView) == picture)
            let log: Page<LogLine> = try await farm.call(
                .get,
                "/v1/tasks/\(task.fence.task)/log"
            )
            #expect(log.items.map(\.text) == ["hello"])
            #expect(try await farm.deliver(task, 0, picture, isFinal: true).status == .created)
            let gone = try await farm.send(.get, "/v1/images/\(task.images[0].id)/preview")
            #expect(gone.status == .notFound)
        }
    }

    @Test("a checkpoint is offered with the task that is tried again")
    func checkpoint() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            _ = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker)
            let request = CheckpointRequest(
                fence: task.fence,
                imageIndex: 0,
                step: 2,
                numericClass: "float32/test"
            )
            let data = Data("latents".utf8)
            #expect(try await farm.send(.put, request.path, data).status == .created)
            let release = AttemptRequest(fence: task.fence, reason: .draining)
            let path = "/v1/attempts/\(task.fence.attempt)/release"
            let released: AttemptAnswer = try await farm.call(.post, path, release)
            #expect(released.task == .ready)
            #expect(try await farm.send(.put, request.path, data).status == .conflict)
            let again = try await farm.task(worker)
            #expect(again.fence.epoch > task.fence.epoch)
            #expect(
                again.checkpoints == [
                    CheckpointOffer(
                        imageIndex: 0,
                        digest: BlobDigest(of: data),
                        step: 2,
                        numericClass: "float32/test"
                    )
                ]
            )
        }
    }

    @Test("an artifact is shared within its owner, under a lease of that owner")
    func artifact() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            _ = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker)
            let key = ArtifactKey(.prompt, determinants: "a")
            let path = key.path(for: task.fence)
            #expect(try await farm.send(.get, path).status == .notFound)
            let data = Data("features".utf8)
            #expect(try await farm.send(.put, path, data).status == .created)
            let read = try await farm.send(.get, path)
            #expect(Data(read.body.readableBytesView) == data)
            var other = task.fence
            other.epoch += 1
            #expect(try await farm.send(.get, key.path(for: other)).status == .conflict)
        }
    }

    @Test("a worker that leaves gives back what it holds")
    func leave() async throws {
        try await TestFarm.withAPI { farm in
            let first = try await farm.register("a").id
            let second = try await farm.register("b").id
            _ = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(first)
            let left = try await farm.send(.post, "/v1/workers/\(first)/leave")
            #expect(left.status == .noContent)
            #expect(try await farm.task(second).fence.task == task.fence.task)
        }
    }

    @Test("a worker that starts again with its instance takes its place, without one it is another")
    func restart() async throws {
        try await TestFarm.withAPI { farm in
            let dead = try await farm.register("w")
            _ = try await farm.submit("parameters: {prompt: a}")
            _ = try await farm.task(dead.id)
            let again = try await farm.register("w")
            #expect(again.id == dead.id)
            #expect(again.name == "w")
            #expect(again.epoch == dead.epoch + 1)
            _ = try await farm.task(again.id)
            // The dead process's last word does not reach what the new one holds.
            for (epoch, isOver) in [(dead.epoch, false), (again.epoch, true)] {
                _ = try await farm.send(.post, "/v1/workers/\(dead.id)/leave?epoch=\(epoch)")
                let left = try #require(try await farm.store.worker(dead.id))
                #expect(left.leases.isEmpty == isOver)
            }
            #expect(
                try await farm.problem(.post, "/v1/workers/\(dead.id)/leave?epoch=x") == .malformed
            )
            var names: [String] = []
            for instance in [nil, "", nil] {
                let request = RegistrationRequest(
                    name: "v",
                    instance: instance,
                    model: TestFarm.model
                )
                let answer: RegistrationAnswer = try await farm.call(.post, "/v1/workers", request)
                names.append(answer.name)
            }
            #expect(names == ["v", "v-2", "v-3"])
        }
    }

    @Test("a worker that is drained or quarantined is told so when it claims")
    func desired() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register("node").id
            _ = try await farm.submit("parameters: {prompt: a}")
            let reason = WorkerStateRequest(reason: "it smells")
            let view: WorkerView = try await farm.call(
                .post,
                "/v1/workers/node/quarantine",
                reason
            )
            #expect(view.state == .quarantined)
            #expect(view.stateReason == "it smells")
            #expect(try await farm.claim(worker, wait: 20).reason == .workerQuarantined)
            let woken: WorkerView = try await farm.call(.post, "/v1/workers/node/wake")
            #expect(woken.state != .quarantined)
            #expect(try await farm.claim(worker).tasks.count == 1)
        }
    }

    @Test("a paused farm and a paused pool give out nothing, and say so")
    func paused() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            _ = try await farm.submit("parameters: {prompt: a}")
            let paused: FarmView = try await farm.call(.post, "/v1/farm/pause")
            #expect(paused.isPaused)
            #expect(try await farm.claim(worker).reason == .farmPaused)
            let resumed: FarmView = try await farm.call(.post, "/v1/farm/resume")
            #expect(!resumed.isPaused)
            let pool: FarmView = try await farm.call(.post, "/v1/pools/default/pause")
            #expect(pool.pools.map(\.isPaused) == [true])
            #expect(try await farm.claim(worker).reason == .poolPaused)
            let _: FarmView = try await farm.call(.post, "/v1/pools/default/resume")
            #expect(try await farm.claim(worker).tasks.count == 1)
        }
    }
}
