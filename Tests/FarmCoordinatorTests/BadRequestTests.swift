import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite("what is sent that nobody expects is refused, or taken for what it can mean", .database)
struct BadRequestTests {
    @Test("a combination of deep parentheses is refused, by a dry run too")
    func deepCombination() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let open = String(repeating: "(", count: 60_000)
            let close = String(repeating: ")", count: 60_000)
            let body = Data(
                """
                {"parameters": {"prompt": "a", "seed": 1}, "combination": "\(open)seed\(close)"}
                """.utf8
            )
            for path in ["/v1/jobs", "/v1/jobs?dry_run=true"] {
                let response = try await farm.send(.post, path, body)
                #expect(response.status == .unprocessableContent)
            }
        }
    }

    @Test(
        "a claim waits no longer than the coordinator lets it, whatever it asks for",
        arguments: ["1e300", "-1e300", "9223372036854775807"]
    )
    func claimWait(seconds: String) async throws {
        var settings = CoordinatorAPISettings()
        settings.timing.longestWait = .milliseconds(10)
        settings.blobReserve = 0
        try await TestFarm.withAPI(settings: settings) { farm in
            let worker = try await farm.register().id
            let body = #"{"epoch": 1, "limit": 1, "wait_seconds": \#(seconds), "busy_seconds": 0}"#
            let answer = try await farm.send(
                .post,
                "/v1/workers/\(worker)/claim",
                Data(body.utf8)
            )
            #expect(answer.status == .ok)
        }
    }

    @Test("names in paths are those that were encoded")
    func encodedNames() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register("box 3") { $0.pool = "day shift" }
            let drained: WorkerView = try await farm.call(.post, "/v1/workers/box%203/drain")
            #expect(drained.id == worker.id)
            let paused: FarmView = try await farm.call(.post, "/v1/pools/day%20shift/pause")
            #expect(paused.pools.map(\.name) == ["day shift"])
            #expect(paused.pools.map(\.isPaused) == [true])
            _ = try await farm.register("other") {
                $0.model.name = "tiny/v2"
                $0.model.digest = "other-digest"
            }
            let model: ModelView = try await farm.call(.get, "/v1/models/tiny%2Fv2")
            #expect(model.name == "tiny/v2")
            #expect(try await farm.problem(.get, "/v1/models/tiny%2") == .notFound)
        }
    }

    @Test("a pool that no worker ever was in is neither paused nor made")
    func unknownPool() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let refused: ProblemDetails = try await farm.call(.post, "/v1/pools/defualt/pause")
            #expect(refused.kind == .notFound)
            #expect(refused.detail?.contains("known are: default") == true)
            let view: FarmView = try await farm.call(.get, "/v1/farm")
            #expect(view.pools.map(\.name) == ["default"])
        }
    }

    @Test("an image that is not there, or has not failed, is not tried again in silence")
    func retry() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let job = try await farm.submit("parameters: {prompt: a, seed: 1-3}")
            let path = "/v1/jobs/\(job.id)/retry"
            for image in [99, -1, 1 << 31] {
                let refused: ProblemDetails = try await farm.call(
                    .post,
                    path,
                    RetryRequest(images: [0, image])
                )
                #expect(refused.kind == .notFound)
                #expect(refused.detail == "the job has no image \(image); it has 0 to 2")
            }
            let waiting = try await farm.problem(.post, path, RetryRequest(images: [1]))
            #expect(waiting == .wrongState)
            let all = try await farm.send(.post, path)
            #expect(all.status == .ok)
        }
    }

    @Test("NUL is refused wherever it stands")
    func nul() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let bodies = [
                ("/v1/workers/\(worker)/drain", #"{"reason": "a\u0000b"}"#),
                ("/v1/tokens", #"{"owner": "a\\\u0000", "role": "viewer"}"#),
            ]
            for (path, body) in bodies {
                let response = try await farm.send(.post, path, Data(body.utf8))
                #expect(response.status == .badRequest, "\(path)")
            }
            var tagged = RegistrationRequest(name: "w\0", model: TestFarm.model)
            #expect(try await farm.problem(.post, "/v1/workers", tagged) == .malformed)
            tagged.name = "w"
            tagged.tags = ["a\0"]
            #expect(try await farm.problem(.post, "/v1/workers", tagged) == .malformed)
            let harmless = #"{"reason": "a\\u0000b"}"#
            let drained = try await farm.send(
                .post,
                "/v1/workers/\(worker)/drain",
                Data(harmless.utf8)
            )
            #expect(drained.status == .ok)
            for path in ["/v1/jobs?name=a%00", "/v1/workers/a%00", "/v1/jobs/a%00/events"] {
                #expect(try await farm.problem(.get, path) == .malformed, "\(path)")
            }
        }
    }

    @Test("numbers that no column holds are refused, or cut where a worker's work hangs on them")
    func numbers() async throws {
        try await TestFarm.withAPI { farm in
            var request = RegistrationRequest(name: "w", model: TestFarm.model)
            request.memoryBytes = -1
            #expect(try await farm.problem(.post, "/v1/workers", request) == .malformed)
            request.memoryBytes = 0
            request.model.costs = .flux
            request.model.costs?.blocks?.hidden = .max
            #expect(try await farm.problem(.post, "/v1/workers", request) == .malformed)
            let worker = try await farm.register { $0.speed = 1e-300 }.id
            let job = try await farm.submit("parameters: {prompt: a, seed: 1-2}\nchunk: {count: 1}")
            let task = try await farm.task(worker)
            #expect(task.predictedSeconds == nil)
            var progress = AttemptProgress(
                fence: task.fence,
                phase: .denoising,
                image: 1 << 40,
                step: 1 << 40,
                steps: .max
            )
            progress.report = AttemptReport(
                stepsComputed: .min,
                seconds: 1e300,
                conditionsComputed: .max,
                conditionsFound: .min
            )
            let beat = HeartbeatRequest(state: .busy, running: [progress])
            let answer: HeartbeatAnswer = try await farm.call(
                .post,
                "/v1/workers/\(worker)/heartbeat",
                beat
            )
            #expect(answer.stale.isEmpty)
            let far = "\(Int.max)"
            let fence = "task=\(task.fence.task)&epoch=\(task.fence.epoch)"
            let attempt = "/v1/attempts/\(task.fence.attempt)"
            let checkpoint = "\(attempt)/checkpoint?\(fence)&class=c&image=0&step=\(far)"
            for (method, path) in [
                (.get, "/v1/jobs/\(job.id)/images?after=\(far)"),
                (.get, "/v1/jobs/\(job.id)/tasks?after=\(far)"),
                (.get, "/v1/tasks/\(task.fence.task)/log?after=-1"),
                (.get, "/v1/tasks/\(task.fence.task)/log?after=\(far)"),
                (.put, "\(attempt)/images/\(far)?\(fence)"),
                (.put, checkpoint),
            ] as [(HTTPTypes.HTTPRequest.Method, String)] {
                let response = try await farm.send(method, path, method == .put ? Data() : nil)
                #expect(response.status.kind == .clientError, "\(path): \(response.status)")
            }
            #expect(try await farm.store.events(of: job.id, after: .max, limit: 1).isEmpty)
        }
    }

    @Test("a job's files, model and predecessors that are not there are all told, by their paths")
    func allProblems() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let document = try farm.document(
                """
                model: none
                after: [zz-none, aa-none]
                parameters: {prompt: a, references: [{image: a.png, task: ip}]}
                """
            )
            let refused: ProblemDetails = try await farm.call(.post, "/v1/jobs", document)
            #expect(refused.kind == .invalidSpecification)
            #expect(
                refused.problems?.map(\.path) == [
                    "model", "after[0]", "after[1]", "parameters.references[0][0].image",
                ]
            )
            #expect(refused.problems?[1].message.contains("zz-none") == true)
            let dry = "/v1/jobs?dry_run=true"
            let planned: ProblemDetails = try await farm.call(.post, dry, document)
            #expect(planned.problems?.map(\.path) == ["model", "after[0]", "after[1]"])
        }
    }

    @Test("a list of tasks says of each that waits why it does")
    func waitingTasks() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a, seed: 1-3}\nchunk: {count: 1}")
            _ = try await farm.task(worker)
            let tasks: Page<TaskView> = try await farm.call(.get, "/v1/jobs/\(job.id)/tasks")
            #expect(tasks.items.map(\.waiting?.reason) == [nil, .behind, .behind])
            #expect(
                tasks.items.map(\.waiting?.sentence).last
                    == "1 task of the same owner goes first; put the job forward with: "
                    + "dreamfarm prioritize JOB 90"
            )
        }
    }
}
