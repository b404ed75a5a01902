import ArgumentParser
import Diffusion
import Foundation
import Imaging
import Testing

@testable import dreamfarm

@Suite("What a command line means")
struct RenderPlanTests {
    private let folder: TaskFolder

    init() throws {
        folder = try TaskFolder()
    }

    /// The pictures of a command line on a committed model, or on another, and what was said.
    private func jobs(
        _ arguments: [String],
        model: String = "\(TaskFolder.goldens)/two-references/model"
    ) async throws -> (jobs: [RenderJob], pipeline: RenderPipeline, lines: [String]) {
        let command = try RenderCommand.parse(["--model", model, "--threads", "1"] + arguments)
        let plan = try RenderPlan(
            model: command.model,
            picture: command.picture,
            output: command.output
        )
        var lines: [String] = []
        let pipeline = try await plan.makePipeline(cache: nil) { lines.append($0) }
        let jobs = try plan.jobs(for: pipeline) { lines.append($0) }
        return (jobs, pipeline, lines)
    }

    private func request(_ arguments: [String]) async throws -> RenderRequest {
        let jobs = try await jobs(arguments).jobs
        #expect(jobs.count == 1)
        return try #require(jobs.first).request
    }

    /// The golden model under another folder, with its own defaults.
    private func modelWithDefaults(_ defaults: String) throws -> String {
        let source = "\(TaskFolder.goldens)/two-references/model"
        let model = "\(folder.path)/model"
        try FileManager.default.createDirectory(
            atPath: "\(model)/dreamo",
            withIntermediateDirectories: true
        )
        for name in try FileManager.default.contentsOfDirectory(atPath: source)
        where name != "dreamo" {
            try FileManager.default.createSymbolicLink(
                atPath: "\(model)/\(name)",
                withDestinationPath: "\(source)/\(name)"
            )
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(source)/dreamo") {
            try FileManager.default.createSymbolicLink(
                atPath: "\(model)/dreamo/\(name)",
                withDestinationPath: "\(source)/dreamo/\(name)"
            )
        }
        _ = try folder.write(defaults, to: "model/dreamo/defaults.json")
        return model
    }

    @Test("with nothing said, DreamO's defaults count")
    func builtIn() async throws {
        let request = try await request(["--prompt", "a cat", "--seed", "3"])
        #expect(request.width == 1024 && request.height == 1024)
        #expect(request.steps == 12)
        #expect(request.guidance == 4.5)
        #expect(request.firstStepGuidance == 0)
        #expect(request.refRes == 512)
        #expect(request.prepare == .resize)
        #expect(request.posterior == .mode)
        #expect(request.noise == .float32)
        #expect(request.trueCFG == TrueCFG())
        #expect(request.negativePrompt == "")
        #expect(request.maxTextTokens == nil)
        #expect(request.seed == 3)
        let slow = try await self.request(["--prompt", "a", "--no-turbo"])
        #expect(slow.steps == 25)
        let first = try await self.request(["--prompt", "a", "--adapters", "v1"])
        #expect(first.guidance == 3.5)
        let plain = try await jobs(["--prompt", "a", "--adapters", "none"])
        #expect(plain.pipeline.adapters.adapters.isEmpty)
        #expect(plain.jobs.first?.request.steps == 25)
    }

    @Test("the model's own defaults come before DreamO's, options before both")
    func modelDefaults() async throws {
        let model = try modelWithDefaults(
            "{\"width\": 96, \"height\": 64, \"ref_res\": 48, \"steps\": 5, \"guidance\": 2.25}"
        )
        let own = try await jobs(["--prompt", "a"], model: model).jobs[0].request
        #expect(own.width == 96 && own.height == 64)
        #expect(own.refRes == 48 && own.steps == 5 && own.guidance == 2.25)
        let options = ["--prompt", "a", "--size", "32x16", "--steps", "2", "--ref-res", "64"]
        let given = try await jobs(options, model: model).jobs[0].request
        #expect(given.width == 32 && given.height == 16)
        #expect(given.refRes == 64 && given.steps == 2 && given.guidance == 2.25)
        // a task file brings its own defaults, which the model's do not change
        let task = try folder.write("{\"prompt\": \"a\"}")
        let tasked = try await jobs(["--task", task], model: model).jobs[0].request
        #expect(tasked.width == 128 && tasked.height == 128)
        #expect(tasked.steps == 4 && tasked.guidance == 3.5)
    }

    @Test("a task file counts, with its schema's defaults and no preparation")
    func task() async throws {
        let golden = "\(TaskFolder.goldens)/two-references/task.json"
        let (jobs, pipeline, lines) = try await jobs(["--task", golden])
        let request = try #require(jobs.first).request
        #expect(request.width == 64 && request.height == 48 && request.steps == 3)
        #expect(request.guidance == 3.5 && request.firstStepGuidance == 2)
        #expect(request.negativePrompt == "low resolution, blurry")
        #expect(request.trueCFG == TrueCFG(scale: 2, start: 1, end: 2, guidance: 2.5))
        #expect(request.seed == 7)
        #expect(request.prepare == .none)
        #expect(request.conditions.map(\.task) == [.id, .ip])
        #expect(request.conditions.map(\.slot) == [1, 2])
        #expect(request.conditions[0].image.width == 32)
        #expect(pipeline.adapters.version == .v11 && pipeline.adapters.hasTurbo)
        #expect(!lines.contains { $0.hasPrefix("warning") || $0.hasPrefix("seed") })

        let bare = try await self.jobs(["--task", try folder.write("{\"prompt\": \"a\"}")])
        let defaults = try #require(bare.jobs.first).request
        #expect(defaults.width == 128 && defaults.height == 128 && defaults.steps == 4)
        #expect(defaults.seed == 0)
        #expect(defaults.trueCFG == TrueCFG())
        #expect(bare.pipeline.adapters.version == .v11)
    }

    @Test("options override the task file, each alone")
    func overrides() async throws {
        let golden = "\(TaskFolder.goldens)/two-references/task.json"
        let face = "\(TaskFolder.goldens)/images/face.png"
        let request = try await request([
            "--task", golden, "--prompt", "[ref#3]", "--size", "32x32", "--steps", "2",
            "--guidance", "1", "--first-step-guidance", "0", "--seed", "9", "--true-cfg", "3:0:1",
            "--negative-guidance", "0.5", "--negative-prompt", "", "--posterior", "sample",
            "--prepare", "resize", "--max-text-tokens", "30", "--reference", "\(face):style:3",
        ])
        #expect(request.prompt == "[ref#3]")
        #expect(request.width == 32 && request.height == 32 && request.steps == 2)
        #expect(request.guidance == 1 && request.firstStepGuidance == 0)
        #expect(request.seed == 9)
        #expect(request.trueCFG == TrueCFG(scale: 3, start: 0, end: 1, guidance: 0.5))
        #expect(request.negativePrompt == "")
        #expect(request.posterior == .sample)
        #expect(request.prepare == .resize)
        #expect(request.maxTextTokens == 30)
        #expect(request.conditions.map(\.slot) == [3])
        #expect(request.conditions.map(\.task) == [.style])

        let kept = try await self.request(["--task", golden, "--steps", "1"])
        #expect(kept.width == 64 && kept.seed == 7 && kept.conditions.count == 2)
    }

    @Test("the task's version and turbo choose the adapters; options come first")
    func adapters() async throws {
        let task = try folder.write(
            "{\"prompt\": \"a\", \"version\": \"v1\", \"turbo\": false}"
        )
        let own = try await jobs(["--task", task]).pipeline.adapters
        #expect(own.version == .v1 && !own.hasTurbo)
        let other = try await jobs(["--task", task, "--adapters", "v1.1"]).pipeline.adapters
        #expect(other.version == .v11 && !other.hasTurbo)
        let turbo = try folder.write("{\"prompt\": \"a\"}")
        let without = try await jobs(["--task", turbo, "--no-turbo"]).pipeline.adapters
        #expect(!without.hasTurbo)
    }

    @Test("prompts times seeds times count, each with a name of its own")
    func several() async throws {
        let (jobs, _, lines) = try await jobs([
            "--prompt", "a", "--prompt", "b", "--seed", "5", "--seed", "9", "--count", "2",
            "--output", "\(folder.path)/x.png",
        ])
        #expect(jobs.map(\.request.prompt) == ["a", "a", "a", "a", "b", "b", "b", "b"])
        #expect(jobs.map(\.request.seed) == [5, 6, 9, 10, 5, 6, 9, 10])
        #expect(Set(jobs.map(\.path)).count == 8)
        #expect(jobs[0].path == "\(folder.path)/x-1-s5.png")
        #expect(jobs[7].path == "\(folder.path)/x-2-s10.png")
        #expect(!lines.contains { $0.hasPrefix("seed ") })
    }

    @Test("without a seed a random one is said")
    func randomSeed() async throws {
        let (jobs, _, lines) = try await jobs(["--prompt", "a"])
        let seed = try #require(jobs.first).request.seed
        #expect(lines.contains("seed \(seed)"))
        #expect(jobs.first?.path == "out.png")
    }

    @Test("a task file's unknown keys are warned of")
    func unknownKeys() async throws {
        let task = try folder.write("{\"prompt\": \"a\", \"stepps\": 3}")
        let lines = try await jobs(["--task", task]).lines
        #expect(lines.contains("warning: \(task): the key 'stepps' is unknown and ignored"))
    }

    @Test(
        "what makes no sense is refused by name",
        arguments: [
            ("{}", "has no prompt"),
            ("{\"prompt\": \"a\", \"version\": \"v2\"}", "version 'v2' is unknown"),
            (
                "{\"prompt\": \"a\", \"conditions\": [{\"image\": \"a\", \"task\": \"face\"}]}",
                "task 'face' is unknown"
            ),
            ("{\"prompt\": \"a\", \"conditions\": [{\"image\": \"none.png\"}]}", "none.png"),
            ("{\"prompt\": \"a [ref#1]\"}", "[ref#1] has no reference"),
            ("{\"prompt\": \"a\", \"width\": 100}", "width 100 is not a multiple of 16"),
        ]
    )
    func refused(text: String, problem: String) async throws {
        let task = try folder.write(text)
        let error = await #expect(throws: (any Error).self) {
            _ = try await jobs(["--task", task])
        }
        let description = error.map { String(describing: $0) } ?? ""
        #expect(description.contains(problem), "\(description)")
        #expect(!description.contains("\n"))
    }

    @Test("a dump holds one picture")
    func dump() async throws {
        await #expect(throws: RenderPlan.PlanError.dumpOfSeveral(count: 2)) {
            _ = try await jobs(["--prompt", "a", "--count", "2", "--dump", "d.safetensors"])
        }
    }
}
