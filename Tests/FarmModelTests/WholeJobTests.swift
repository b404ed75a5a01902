import FarmModel
import FoundationEssentials
import Testing

/// The whole of a job's specification, as the design writes it.
@Suite struct WholeJobTests {
    private static let whole = """
        specification: dreamfarm/1
        name: spring-campaign
        model: flux-dreamo
        priority: 70
        after: [other-job, 0F8FAD5B-D9CB-469F-A165-70867728950E, other-job]
        parameters:
          prompt: ["[ref#1] wears the jacket from [ref#2]", "… in the rain"]
          references:
            - [{image: woman.png, task: id}, {image: jacket.png, task: ip, slot: 2}]
            - [{image: man.png, task: id}, {image: jacket.png, task: ip}]
          seed: 1-8
          size: [1024x1024]
          guidance: [3.5]
          true_cfg: [{scale: 1}, {scale: 2, end: 4}]
        combination: prompt * (references, true_cfg) * seed * size * guidance
        render:
          steps: 12
          loras: [{file: grain.safetensors, weight: 0.8}]
        output: {format: png, name: "{job}/{index}-{prompt.index}-s{seed}.png"}
        requirements: {precision: int8, memory: 16GiB, group: 2, pool: day, tags: [b, a, b]}
        class: same
        limits: {max_workers: 8, max_attempts: 7, max_failures: 20}
        chunk: {target_seconds: 30}
        start_after: 2026-12-01T22:00:00+02:00
        finish_by: 2026-12-02T08:00:00Z
        on_done: {webhook: "https://example.org/done?x=1"}
        """

    private static let defaults = JobSpecificationTests.defaults

    private func resolved(_ text: String, seed: Int64 = 7) throws -> ResolvedJob {
        ResolvedJob(
            try JobSpecification(parsing: text),
            model: "tiny",
            modelDigest: "digest-of-tiny",
            defaults: Self.defaults,
            seed: seed,
            label: "label"
        )
    }

    @Test("every key is read")
    func everyKey() throws {
        let job = try JobSpecification(parsing: Self.whole)
        #expect(
            job.after == ["other-job", "0f8fad5b-d9cb-469f-a165-70867728950e", "other-job"]
        )
        #expect(job.imageCount == 2 * 2 * 8)
        #expect(
            job.requirements
                == JobRequirements(
                    precision: "int8",
                    memoryBytes: 16 << 30,
                    group: 2,
                    pool: "day",
                    tags: ["a", "b"]
                )
        )
        #expect(job.isSameClass)
        #expect(job.limits.maxWorkers == 8)
        #expect(job.limits.maxAttempts == 7)
        #expect(job.limits.maxFailures == 20)
        #expect(job.chunk.targetSeconds == 30)
        #expect(job.chunk.count == nil)
        #expect(job.startAfter == Date(timeIntervalSince1970: 1_796_155_200))
        #expect(job.finishBy == Date(timeIntervalSince1970: 1_796_198_400))
        #expect(job.webhook == "https://example.org/done?x=1")
        #expect(job.loras == [LoraSpecification(file: "grain.safetensors", weight: 0.8)])
        #expect(job.files == ["woman.png", "jacket.png", "man.png", "grain.safetensors"])
    }

    @Test("digests of files are filled in by name, and listed once")
    func digests() throws {
        let job = try JobSpecification(parsing: Self.whole)
        let names = job.files
        let digests = Dictionary(
            uniqueKeysWithValues: names.map { ($0, BlobDigest(ofText: $0)) }
        )
        let full = job.withDigests(digests)
        #expect(full.files.isEmpty)
        #expect(full.blobs == names.map { BlobDigest(ofText: $0) })
        #expect(full.digest != job.digest)
        #expect(try JobSpecification(document: full.document).blobs == full.blobs)
    }

    @Test("a resolved job is read back as it was written")
    func resolvedAgain() throws {
        let job = try resolved(Self.whole)
        let again = try ResolvedJob(json: job.canonicalJSON)
        #expect(again == job)
        #expect(again.canonicalJSON == job.canonicalJSON)
        #expect(again.digest == job.digest)
        #expect(again.modelDigest == "digest-of-tiny")
        for index in 0..<job.imageCount { #expect(again.image(at: index) == job.image(at: index)) }
    }

    @Test("nothing of a resolved job is left to a model or a draw")
    func nothingOpen() throws {
        let job = try resolved("parameters: {prompt: a}")
        let again = try ResolvedJob(json: job.canonicalJSON)
        #expect(again.name == "label")
        #expect(again.model == "tiny")
        #expect(again.image(at: 0).settings.seed == 7)
        #expect(again.image(at: 0).settings.steps == Self.defaults.steps)
        #expect(again.image(at: 0).settings.width == Self.defaults.width)
        #expect(again.image(at: 0).settings.refRes == Self.defaults.refRes)
        let other = ResolvedJob(
            again.specification,
            model: "tiny",
            modelDigest: "digest-of-tiny",
            defaults: ModelDefaults(width: 16, height: 16, refRes: 16, steps: 1, guidance: 1),
            seed: 99,
            label: "other"
        )
        #expect(other == again)
    }

    @Test("a submitted job has no model digest of its own")
    func noModelDigest() {
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(parsing: "parameters: {prompt: a}\nmodel_digest: x")
        }
        #expect(error?.problems.map(\.path) == ["model_digest"])
        #expect(throws: JobSpecificationError.self) {
            _ = try ResolvedJob(json: #"{"parameters": {"prompt": "a"}}"#)
        }
    }

    @Test(
        "specifications that mean the same have one digest",
        arguments: [
            ("parameters: {prompt: a, seed: 3}", "parameters: {seed: [3], prompt: [a]}"),
            ("parameters: {prompt: a, seed: 1-4}", "parameters: {prompt: a, seed: [1, 2, '3-4']}"),
            ("parameters: {prompt: a, seed: '1,3,5'}", "parameters: {prompt: a, seed: 1-5:2}"),
            ("parameters: {prompt: a, steps: 4}", "parameters: {prompt: a}\nrender: {steps: 4}"),
            (
                "parameters: {prompt: [a, b], seed: 1-2}",
                "parameters: {prompt: [a, b], seed: 1-2}\ncombination: prompt * seed"
            ),
            (
                "parameters: {prompt: [a, b], seed: 1-2, guidance: 2}\ncombination: seed * prompt",
                "parameters: {prompt: [a, b], seed: 1-2, guidance: [2.0]}\nrender: {}\n"
                    + "combination: guidance * (seed * size) * prompt"
            ),
            (
                "parameters: {prompt: [a, b], seed: 1-2}\ncombination: (prompt, seed)",
                "parameters: {prompt: [a, b], seed: 1-2}\ncombination: ((seed), (prompt))"
            ),
            ("parameters: {prompt: a}\nafter: x", "parameters: {prompt: a}\nafter: [x, x]"),
            (
                "parameters: {prompt: a}\nrequirements: {memory: 1GiB}",
                "parameters: {prompt: a}\nrequirements: {memory: 1073741824}"
            ),
            (
                "parameters: {prompt: a}\nstart_after: 2026-12-01T20:00:00Z",
                "parameters: {prompt: a}\nstart_after: 2026-12-01T21:00:00.000+01:00"
            ),
            (
                "parameters: {prompt: a}\nfinish_by: 2026-12-01T20:00:00Z",
                "parameters: {prompt: a}\nfinish_by: 2026-12-01T21:00:00.000+01:00"
            ),
        ]
    )
    func sameDigest(first: String, second: String) throws {
        let (first, second) = (
            try JobSpecification(parsing: first), try JobSpecification(parsing: second)
        )
        #expect(first.canonicalJSON == second.canonicalJSON)
        #expect(first.digest == second.digest)
        let images = first.images(defaults: Self.defaults, seed: 1, label: "j")
        #expect(images == second.images(defaults: Self.defaults, seed: 1, label: "j"))
    }

    @Test(
        "specifications that mean something else have other digests",
        arguments: [
            "parameters: {prompt: a, seed: 1-3}", "parameters: {prompt: a, seed: '1,3,2'}",
            "parameters: {prompt: a, seed: 1-2}\npriority: 51",
            "parameters: {prompt: a, seed: 1-2}\nclass: same",
            "parameters: {prompt: a, seed: 1-2}\nchunk: {count: 2}",
            "parameters: {prompt: a, seed: 1-2}\nlimits: {max_workers: 1}",
            "parameters: {prompt: a, seed: 1-2}\nrequirements: {pool: x}",
            "parameters: {prompt: a, seed: 1-2}\non_done: {webhook: 'http://h/'}",
            "parameters: {prompt: a, seed: 1-2}\nrender: {loras: [{file: a}]}",
            "parameters: {prompt: a, seed: 1-2}\nname: x",
            "parameters: {prompt: a, seed: 1-2}\nafter: x",
        ]
    )
    func otherDigest(text: String) throws {
        let plain = try JobSpecification(parsing: "parameters: {prompt: a, seed: 1-2}")
        #expect(try JobSpecification(parsing: text).digest != plain.digest)
    }

    @Test("ten mistakes are ten messages, each with its path")
    func tenMistakes() {
        let text = """
            specification: dreamfarm/2
            name: a/b
            priority: 101
            colour: red
            parameters:
              prompt: ["[ref#2] there", 7]
              references: [{image: woman.png, task: face}, {image: jacket.png, task: ip, slot: 3}]
              size: 100x64
              seed: [1, 2, 3]
            combination: (prompt, seed)
            render: {stepps: 3}
            limits: {max_attempts: 0}
            """
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(parsing: text)
        }
        #expect(
            error?.problems.map(\.path).sorted() == [
                "colour", "combination", "limits.max_attempts", "name", "parameters.prompt[1]",
                "parameters.references[0].task", "parameters.size", "priority", "render.stepps",
                "specification",
            ]
        )
        #expect(error?.problems.allSatisfy { !$0.message.isEmpty } == true)
    }

    @Test("a flood of problems is cut, and counted")
    func flood() {
        let prompts = (0..<500).map { "'\($0) [ref#1]'" }.joined(separator: ", ")
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(parsing: "parameters: {prompt: [\(prompts)]}")
        }
        #expect(error?.problems.count == 201)
        #expect(error?.problems.last?.message == "and 300 more")
    }

    @Test("a placeholder is looked for only in the sets that its prompt meets")
    func placeholdersOfZip() throws {
        let text = """
            parameters:
              prompt: ["[ref#1]", "[ref#2] and [ref#2]", "none [ref#] [ref#1"]
              references: [[{image: a, task: ip}], [{image: b, task: ip, slot: 2}], []]
            combination:
            """
        #expect(try JobSpecification(parsing: text + " (prompt, references)").imageCount == 3)
        let error = #expect(throws: JobSpecificationError.self) {
            _ = try JobSpecification(parsing: text + " prompt * references")
        }
        #expect(error?.problems.count == 4)
    }
}
