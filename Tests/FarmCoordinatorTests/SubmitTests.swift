import FarmModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct SubmitTests {
    @Test("a job needs a model that is known")
    func noModel() async throws {
        try await TestFarm.withAPI { farm in
            let body = try farm.document("parameters: {prompt: a}")
            #expect(try await farm.problem(.post, "/v1/jobs", body) == .unknownModel)
            _ = try await farm.register()
            let named = try farm.document("model: other\nparameters: {prompt: a}")
            let unknown: ProblemDetails = try await farm.call(.post, "/v1/jobs", named)
            #expect(unknown.kind == .unknownModel)
            #expect(unknown.detail?.contains("tiny") == true)
        }
    }

    @Test("a wrong specification is answered with every problem and its path; nothing is stored")
    func invalid() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let body = Data(#"{"parameters": {"prompt": 1, "size": "17x16"}, "nam": "x"}"#.utf8)
            let response = try await farm.send(.post, "/v1/jobs", body)
            #expect(response.status == .unprocessableContent)
            let problem = try FarmJSON.decode(
                ProblemDetails.self,
                from: Data(response.body.readableBytesView)
            )
            let paths = Set(problem.problems?.map(\.path) ?? [])
            #expect(paths == ["nam", "parameters.prompt", "parameters.size"])
            let jobs: Page<JobView> = try await farm.call(.get, "/v1/jobs")
            #expect(jobs.items.isEmpty)
        }
    }

    @Test("a job whose references are not uploaded, or no pictures, is refused by path and name")
    func references() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let job = try JobSpecification(
                parsing: "parameters: {prompt: a, references: [{image: a.png, task: ip}]}"
            )
            #expect(try await farm.problem(.post, "/v1/jobs", job.document) == .missingBlobs)
            let words = Data("no picture at all".utf8)
            let bad = job.withDigests(["a.png": BlobDigest(of: words)]).document
            #expect(try await farm.problem(.post, "/v1/jobs", bad) == .missingBlobs)
            _ = try await farm.send(.put, "/v1/blobs/\(BlobDigest(of: words))", words)
            let refused: ProblemDetails = try await farm.call(.post, "/v1/jobs", bad)
            #expect(refused.kind == .invalidSpecification)
            #expect(refused.problems?.first?.path.hasPrefix("parameters.references[0]") == true)
            #expect(refused.problems?.first?.message.contains("a.png") == true)
            let jobs: Page<JobView> = try await farm.call(.get, "/v1/jobs")
            #expect(jobs.items.isEmpty)
            let picture = try TestFarm.picture()
            _ = try await farm.send(.put, "/v1/blobs/\(BlobDigest(of: picture))", picture)
            let good = job.withDigests(["a.png": BlobDigest(of: picture)]).document
            let view: JobView = try await farm.call(.post, "/v1/jobs", good)
            #expect(view.state == .pending)
        }
    }

    @Test("a job takes what it leaves out from its model, for good")
    func defaults() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let job = try await farm.submit("name: n\nparameters: {prompt: [a, b], seed: 1-2}")
            #expect(job.images.waiting == 4)
            #expect(job.model == "tiny")
            let images: Page<ImageView> = try await farm.call(.get, "/v1/jobs/\(job.id)/images")
            #expect(images.items.map(\.index) == [0, 1, 2, 3])
            #expect(
                images.items.map(\.name) == [
                    "n/0-s1.png", "n/1-s2.png", "n/2-s1.png", "n/3-s2.png",
                ]
            )
            #expect(images.items.map(\.settings?.width) == [64, 64, 64, 64])
            #expect(images.items.map(\.settings?.steps) == [4, 4, 4, 4])
            #expect(images.next == nil)
        }
    }

    @Test("the same key and job re-attach; another job under the key is a conflict")
    func key() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let first = try farm.document("parameters: {prompt: a}")
            let made: JobView = try await farm.call(.put, "/v1/jobs/night", first)
            let again: JobView = try await farm.call(.put, "/v1/jobs/night", first)
            #expect(made.id == again.id)
            let other = try farm.document("parameters: {prompt: b}")
            #expect(try await farm.problem(.put, "/v1/jobs/night", other) == .conflict)
            let byKey: JobView = try await farm.call(.get, "/v1/jobs/night")
            #expect(byKey.id == made.id)
            let someone = try await farm.token("someone", .submitter)
            #expect(try await farm.problem(.get, "/v1/jobs/night", token: someone) == .notFound)
        }
    }

    @Test("a dry run tells what would be and stores nothing")
    func dryRun() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let body = try farm.document("parameters: {prompt: [a, b], seed: 1-3}")
            let plan: PlanView = try await farm.call(.post, "/v1/jobs?dry_run=true", body)
            #expect(plan.images == 6)
            #expect(plan.tasks >= 1)
            #expect(plan.tasks <= 6)
            #expect(plan.flops > 0)
            #expect(plan.eligibleWorkers == 1)
            let seconds = try #require(plan.estimatedSeconds)
            #expect(abs(seconds - plan.flops / 1e12) < 1e-6 * seconds)
            #expect(plan.unrunnable.isEmpty)
            let jobs: Page<JobView> = try await farm.call(.get, "/v1/jobs")
            #expect(jobs.items.isEmpty)
        }
    }

    @Test("a plan says that a group would render what is wanted before a worker alone made it")
    func finishBy() async throws {
        try await TestFarm.withAPI { farm in
            for name in ["a", "b"] {
                _ = try await farm.register(name) {
                    $0.speed = 1e9
                    $0.model.costs = .flux
                    $0.group = GroupOffer()
                }
            }
            let soon = Date(timeIntervalSinceNow: 5).formatted(Date.ISO8601FormatStyle())
            for (moment, group) in [(soon, 2), ("2999-12-31T22:00:00Z", nil)] as [(String, Int?)] {
                let text = "parameters: {prompt: a}\nfinish_by: \(moment)"
                let body = try farm.document(text)
                let plan: PlanView = try await farm.call(.post, "/v1/jobs?dry_run=true", body)
                #expect(plan.group == group)
                let reason = plan.groupReason ?? ""
                #expect(reason.hasSuffix(", wanted by \(moment)") == (group != nil))
                let job = try await farm.submit(text)
                #expect(job.finishBy?.formatted(Date.ISO8601FormatStyle()) == moment)
            }
        }
    }

    @Test("what no live worker can run is accepted with its reason, or refused where that is asked")
    func unrunnable() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let text = "parameters: {prompt: a}\nrequirements: {precision: int8}"
            let body = try farm.document(text)
            let plan: PlanView = try await farm.call(.post, "/v1/jobs?dry_run=true", body)
            #expect(plan.unrunnable.map(\.reason) == [.noPrecision])
            #expect(plan.eligibleWorkers == 0)
            let path = "/v1/jobs?require_runnable=true"
            #expect(try await farm.problem(.post, path, body) == .unrunnable)
            let job = try await farm.submit(text)
            #expect(job.warnings?.contains { $0.message.contains("int8") } == true)
            let why: Page<WhyView> = try await farm.call(.get, "/v1/jobs/\(job.id)/why")
            #expect(why.items.map(\.reason) == [.noPrecision])
        }
    }

    @Test("a job may wait for others of its owner, by id or key, and for no one else's")
    func after() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let first = try farm.document("parameters: {prompt: a}")
            let made: JobView = try await farm.call(.put, "/v1/jobs/first", first)
            let second = try await farm.submit("after: [first]\nparameters: {prompt: b}")
            #expect(second.after == [made.id])
            let third = try await farm.submit("after: [\(made.id)]\nparameters: {prompt: c}")
            #expect(third.after == [made.id])
            let unknown = try farm.document("after: [nothing]\nparameters: {prompt: b}")
            let problem: ProblemDetails = try await farm.call(.post, "/v1/jobs", unknown)
            #expect(problem.problems?.map(\.path) == ["after[0]"])
            let someone = try await farm.token("someone", .submitter)
            let foreign = try farm.document("after: [\(made.id)]\nparameters: {prompt: b}")
            let refused = try await farm.problem(.post, "/v1/jobs", foreign, token: someone)
            #expect(refused == .invalidSpecification)
        }
    }

    @Test("cheap images are put together in tasks, spread over the workers that there are")
    func chunks() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let job = try await farm.submit(
                "parameters: {prompt: a, seed: 1-10}\nchunk: {count: 4}"
            )
            let tasks: Page<TaskView> = try await farm.call(.get, "/v1/jobs/\(job.id)/tasks")
            #expect(tasks.items.map(\.imageCount) == [4, 4, 2])
            #expect(tasks.items.map(\.firstIndex) == [0, 4, 8])
        }
    }

    @Test("a job that asks for a numeric class is taken by workers of it alone")
    func numericClass() async throws {
        try await TestFarm.withAPI { farm in
            let other = try await farm.register("other") { $0.model.numericClass = "e/v4/float32" }
            let text = """
                parameters: {prompt: a}
                requirements: {numeric_class: e/v3/float32}
                """
            let plan: PlanView = try await farm.call(
                .post,
                "/v1/jobs?dry_run=true",
                farm.document(text)
            )
            #expect(plan.eligibleWorkers == 0)
            #expect(plan.unrunnable.map(\.reason) == [.noWorker])
            #expect(plan.unrunnable.first?.sentence.contains("numeric class e/v3") == true)
            let job = try await farm.submit(text)
            #expect(job.numericClass == "e/v3/float32")
            #expect(try await farm.claim(other.id).tasks.isEmpty)
            let wanted = try await farm.register("wanted") {
                $0.model.numericClass = "e/v3/float32"
            }
            #expect(try await farm.claim(wanted.id).tasks.map(\.job) == [job.id])
        }
    }
}
