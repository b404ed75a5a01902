import FarmModel
import Testing

@Suite struct JobSpecificationTests {
    static let campaign = """
        specification: dreamfarm/1
        name: spring-campaign
        model: flux-dreamo
        priority: 60
        parameters:
          prompt: ["a woman from [ref#1] wears the jacket from [ref#2]", "[ref#1] in the rain"]
          references:
            - [{image: woman.png, task: id}, {image: jacket.png, task: ip, background: keep}]
            - [{image: man.png, task: id}, {image: jacket.png, task: ip, slot: 2}]
          seed: 1-3
          size: [1024x768]
          guidance: [3.5]
        combination: prompt * references * seed * size * guidance
        render:
          steps: 12
          true_cfg: {scale: 2, start: 1, end: 3}
          step_cache: 0
        output: {format: png, name: "{job}/{index}-{prompt.index}-{references.index}-s{seed}.png"}
        limits: {max_attempts: 3}
        """

    static let defaults = ModelDefaults(
        width: 512,
        height: 256,
        refRes: 384,
        steps: 7,
        guidance: 4.5
    )

    @Test("a whole job is read, with what is left out taken from the model")
    func wholeJob() throws {
        let job = try JobSpecification(parsing: Self.campaign)
        #expect(job.name == "spring-campaign")
        #expect(job.model == "flux-dreamo")
        #expect(job.priority == 60)
        #expect(job.limits.maxAttempts == 3)
        let images = job.images(defaults: Self.defaults, seed: 99, label: "unused")
        #expect(images.count == 12)
        #expect(images.map(\.index) == Array(0..<12))
        #expect(images[0].name == "spring-campaign/0-0-0-s1.png")
        #expect(images[11].name == "spring-campaign/11-1-1-s3.png")
        let settings = images[4].settings
        #expect(settings.prompt == "a woman from [ref#1] wears the jacket from [ref#2]")
        #expect(settings.references.map(\.image) == ["man.png", "jacket.png"])
        #expect(settings.references.map(\.task) == [.id, .ip])
        #expect(settings.references.map(\.slot) == [1, 2])
        #expect(settings.seed == 2)
        #expect((settings.width, settings.height) == (1024, 768))
        #expect(settings.steps == 12)
        #expect(settings.guidance == 3.5)
        #expect(settings.trueCfg == TrueGuidance(scale: 2, start: 1, end: 3, guidance: 3.5))
        #expect(settings.refRes == 384)
        #expect(settings.prepare == .resize)
        #expect(settings.maxTextTokens == nil)
    }

    @Test("the smallest job takes everything from the model and the drawn seed")
    func smallestJob() throws {
        let job = try JobSpecification(parsing: "parameters: {prompt: a cat}")
        let images = job.images(defaults: Self.defaults, seed: 99, label: "abc")
        try #require(images.count == 1)
        #expect(images[0].name == "abc/0-s99.png")
        #expect(images[0].settings.seed == 99)
        #expect(images[0].settings.width == 512)
        #expect(images[0].settings.height == 256)
        #expect(images[0].settings.steps == 7)
        #expect(images[0].settings.guidance == 4.5)
        #expect(images[0].settings.references.isEmpty)
        #expect(job.limits.maxAttempts == 5)
        #expect(job.priority == 50)
    }

    @Test("JSON and YAML that mean the same have one digest, and another job another")
    func digest() throws {
        let yaml = try JobSpecification(
            parsing: "parameters:\n  prompt: a cat\n  seed: 1-2\n  guidance: 3.0\npriority: 50"
        )
        let json = try JobSpecification(
            parsing: #"{"parameters": {"seed": [1, 2], "prompt": ["a cat"], "guidance": 3}}"#
        )
        #expect(yaml.canonicalJSON == json.canonicalJSON)
        #expect(yaml.digest == json.digest)
        let other = try JobSpecification(parsing: "parameters: {prompt: a dog, seed: 1-2}")
        #expect(other.digest != yaml.digest)
    }

    @Test("the canonical document reads back as the same job")
    func canonicalDocument() throws {
        let job = try JobSpecification(parsing: Self.campaign)
            .withDigests(["woman.png": BlobDigest(ofText: "w"), "man.png": BlobDigest(ofText: "m")])
        let again = try JobSpecification(document: job.document)
        #expect(again.canonicalJSON == job.canonicalJSON)
        #expect(
            again.images(defaults: Self.defaults, seed: 1, label: "x")
                == job.images(defaults: Self.defaults, seed: 1, label: "x")
        )
        #expect(again.references.first?.sha256 == BlobDigest(ofText: "w"))
        #expect(again.references[1].sha256 == nil)
    }

    @Test(
        "a problem is named with its path and a remedy",
        arguments: [
            ("parameter: {}", "parameter", "did you mean 'parameters'?"),
            ("{}", "parameters", "give at least a prompt"),
            ("parameters: {prompts: a}", "parameters.prompts", "did you mean 'prompt'?"),
            ("parameters: {prompt: 3}", "parameters.prompt", "must be text"),
            ("parameters: {prompt: []}", "parameters.prompt", "has no values"),
            ("parameters: {prompt: a, size: 100x64}", "parameters.size", "96 is"),
            ("parameters: {prompt: a, size: [64]}", "parameters.size[0]", "like 1024x768"),
            ("parameters: {prompt: a, seed: 9-1}", "parameters.seed", "must be seeds like"),
            ("parameters: {prompt: a, seed: -1}", "parameters.seed", "of at least 0"),
            (
                "parameters: {prompt: a, seed: 1-9223372036854775807}", "parameters.seed",
                "more than 100000 seeds"
            ),
            ("parameters: {prompt: a, steps: [4, 0]}", "parameters.steps[1]", "from 1 to 1000"),
            ("parameters: {prompt: 'a [ref#1]'}", "parameters.prompt[0]", "[ref#1] has no"),
            (
                "parameters: {prompt: a, references: [{image: a.png, task: face}]}",
                "parameters.references[0].task", "must be one of ip, id, style"
            ),
            (
                "parameters: {prompt: a, references: [[{image: a.png, task: id, slot: 10}]]}",
                "parameters.references[0][0].slot", "from 1 to 9"
            ),
            (
                "parameters: {prompt: a, references: [{image: a, task: id, slot: 2}, "
                    + "{image: b, task: ip}]}",
                "parameters.references[1].slot", "slot 2 is taken by reference 1"
            ),
            (
                "parameters: {prompt: a, references: [{task: id}]}",
                "parameters.references[0].image", "is missing"
            ),
            ("parameters: {prompt: a}\nrender: {step: 3}", "render.step", "did you mean 'steps'?"),
            ("parameters: {prompt: a}\nrender: {prepare: full}", "render.prepare", "not supported"),
            ("parameters: {prompt: a}\nrender: {step_cache: 2}", "render.step_cache", "0 to 1"),
            (
                "parameters: {prompt: a}\nrender: {loras: [{fil: a}]}", "render.loras[0].fil",
                "'file'"
            ),
            (
                "parameters: {prompt: a}\nrender: {loras: [{}]}", "render.loras[0].file",
                "is missing"
            ),
            (
                "parameters: {prompt: a}\nrender: {loras: [{file: a, weight: 17}]}",
                "render.loras[0].weight", "from -16 to 16"
            ),
            (
                "parameters: {prompt: a, loras: [[{file: a, sha256: x}], []]}",
                "parameters.loras[0][0].sha256", "64 hexadecimal"
            ),
            (
                "parameters: {prompt: a, steps: 3}\nrender: {steps: 3}", "render.steps",
                "under parameters too"
            ),
            ("parameters: {prompt: a}\nrequirements: {group: 0}", "requirements.group", "1 to 64"),
            (
                "parameters: {prompt: a}\nrequirements: {group: 2, numeric_class: e/k/int8/tp3}",
                "requirements.group", "a group of 3"
            ),
            (
                "parameters: {prompt: a}\nrequirements: {group: 2, numeric_class: e/k/int8}",
                "requirements.group", "a worker alone"
            ),
            ("parameters: {prompt: a}\nrequirements: {pol: x}", "requirements.pol", "'pool'?"),
            ("parameters: {prompt: a}\nrequirements: {memory: 1G}", "requirements.memory", "16GiB"),
            ("parameters: {prompt: a}\nrequirements: {memory: -1}", "requirements.memory", "16GiB"),
            (
                "parameters: {prompt: a}\nrequirements: {tags: [amx, a b]}",
                "requirements.tags[1]", "letters, digits"
            ),
            ("parameters: {prompt: a}\nrequirements: 1", "requirements", "must be a mapping"),
            ("parameters: {prompt: a}\non_done: {webhook: x}", "on_done.webhook", "be a URL like"),
            (
                "parameters: {prompt: a}\non_done: {webhook: 'ftp://h/x'}", "on_done.webhook",
                "be a URL like"
            ),
            ("parameters: {prompt: a}\nstart_after: tomorrow", "start_after", "2026-12-01T20"),
            ("parameters: {prompt: a}\nstart_after: 2030-01-01", "start_after", "2026-12-01T20"),
            ("parameters: {prompt: a}\nfinish_by: soon", "finish_by", "2026-12-01T20"),
            ("parameters: {prompt: a}\nafter: [x, a/b]", "after[1]", "id or key of a job"),
            ("parameters: {prompt: a}\nchunk: {count: 0}", "chunk.count", "from 1 to 1000"),
            (
                "parameters: {prompt: a}\nchunk: {count: 2, target_seconds: 3}", "chunk",
                "give one of them"
            ),
            ("parameters: {prompt: a}\nclass: sme", "class", "one of any, same"),
            ("parameters: {prompt: a}\nlimits: {max_workers: 0}", "limits.max_workers", "from 1"),
            (
                "parameters: {prompt: a}\nlimits: {max_failure: 1}", "limits.max_failure",
                "_failures"
            ),
            ("parameters: {prompt: a, size: 16384x16384}", "parameters.size", "67108864 pixels"),
            ("parameters: {prompt: a}\npriority: 101", "priority", "from 0 to 100"),
            ("parameters: {prompt: a}\nname: a/b", "name", "without '/'"),
            ("parameters: {prompt: a}\noutput: {name: '../a.png'}", "output.name", "without '..'"),
            ("parameters: {prompt: a}\noutput: {name: '/a.png'}", "output.name", "relative path"),
            ("parameters: {prompt: a}\noutput: {name: '{sed}.png'}", "output.name", "'{seed}'"),
            ("parameters: {prompt: a}\noutput: {name: '{seed.png'}", "output.name", "fellow"),
            ("parameters: {prompt: a}\noutput: {name: a.jpg}", "output.name", "end in .png"),
            ("parameters: {prompt: a}\noutput: {format: webp}", "output.format", "only png"),
            (
                "parameters: {prompt: a, seed: 1-2}\noutput: {name: a.png}", "output.name",
                "images 0 and 1 are both named 'a.png'"
            ),
            ("parameters: {prompt: a}\ncombination: prompt *", "combination", "at its end"),
            ("parameters: {prompt: a}\ncombination: promt", "combination", "did you mean 'prompt'"),
            (
                "parameters: {prompt: a}\ncombination: prompt * prompt", "combination",
                "names 'prompt' twice"
            ),
            (
                "parameters: {prompt: [a, b], seed: 1-3}\ncombination: (prompt, seed)",
                "combination", "prompt has 2, seed has 3"
            ),
            (
                "parameters: {prompt: a, seed: 1-1000, steps: [1, 2, 3, 4, 5], "
                    + "size: [16x16, 16x32, 16x48, 16x64, 16x80, 32x16, 32x32, 32x48, 32x64, "
                    + "32x80, 48x16, 48x32, 48x48, 48x64, 48x80, 64x16, 64x32, 64x48, 64x64, "
                    + "64x80, 80x16]}",
                "combination", "more than 100000 images"
            ),
            ("a: [1", "", "line "),
            ("a: 1\na: 2", "", "'a' is given twice"),
            ("", "", "is empty"),
        ]
    )
    func problem(text: String, path: String, message: String) {
        let error = #expect(throws: JobSpecificationError.self) {
            try JobSpecification(parsing: text)
        }
        let problems = error?.problems ?? []
        #expect(
            problems.contains { $0.path == path && $0.message.contains(message) },
            "\(problems)"
        )
    }

    @Test("every problem is listed at once")
    func allProblems() {
        let error = #expect(throws: JobSpecificationError.self) {
            try JobSpecification(
                parsing: "parameters: {prompt: 1, size: 17x16}\nrender: {steps: x}\ncolour: red"
            )
        }
        #expect(
            error?.problems.map(\.path)
                == ["colour", "parameters.prompt", "parameters.size", "render.steps"]
        )
    }

    @Test("style beside another reference is accepted with a warning")
    func warning() throws {
        let job = try JobSpecification(
            parsing: """
                parameters:
                  prompt: a
                  references: [{image: a.png, task: style}, {image: b.png, task: ip}]
                """
        )
        #expect(job.warnings.map(\.path) == ["parameters.references"])
    }

    @Test("the jobs that come first keep their order; two orders of them are one job")
    func after() throws {
        let job = try JobSpecification(parsing: "parameters: {prompt: a}\nafter: [z, k, a, k]")
        #expect(job.after == ["z", "k", "a", "k"])
        #expect(try JobSpecification(document: job.document).after == job.after)
        let other = try JobSpecification(parsing: "parameters: {prompt: a}\nafter: [a, k, z]")
        #expect(job.digest == other.digest)
    }

    @Test("each file without a digest has the path of what names it first")
    func filePlaces() throws {
        let digest = String(repeating: "a", count: 64)
        let job = try JobSpecification(
            parsing: """
                parameters:
                  prompt: a
                  references:
                    - [{image: a.png, task: ip, sha256: \(digest)}, {image: b.png, task: ip}]
                    - [{image: b.png, task: ip}, {image: c.png, task: ip}]
                render: {loras: [{file: d.safetensors}]}
                """
        )
        #expect(
            job.filePlaces.map(\.path) == [
                "parameters.references[0][1].image", "parameters.references[1][1].image",
                "render.loras[0].file",
            ]
        )
        #expect(job.filePlaces.map(\.name) == job.files)
    }
}
