/// One key of a job specification, as `docs/job.md` lists it.
package struct SpecificationKey: Hashable, Sendable {
    /// The path from the top, as `limits.max_attempts`; `[]` stands for each element of a list.
    package var path: String
    /// What may stand there, in words.
    package var type: String
    /// What holds where it is left out, in words.
    package var standard: String
    /// Whether it may have several values, under `parameters`.
    package var isAxis: Bool

    private init(_ path: String, _ type: String, _ standard: String, isAxis: Bool = false) {
        self.path = path
        self.type = type
        self.standard = standard
        self.isAxis = isAxis
    }

    /// The keys right under `path`, in the order of the table.
    static func names(under path: String) -> [String] {
        let prefix = path.isEmpty ? "" : path + "."
        return all.compactMap { key in
            guard key.path.hasPrefix(prefix) else { return nil }
            let name = key.path.dropFirst(prefix.count)
            return name.contains(".") ? nil : String(name)
        }
    }

    private static let modelsOwn = "the model's"
    private static let images = JobSpecification.largestImageCount

    /// Every key, in the order in which a job is written.
    package static let all: [SpecificationKey] = top + parameters + render + rest

    private static let top = [
        SpecificationKey("specification", "`dreamfarm/1`", "`dreamfarm/1`"),
        SpecificationKey(
            "name",
            "text of at most 128 bytes without `/`; stands for `{job}` in names",
            "the client's key, else `job`"
        ),
        SpecificationKey("model", "the name of a recorded model", "the farm's default"),
        SpecificationKey(
            "priority",
            """
            whole number 0…100; orders the jobs of one owner, higher goes first; one of a higher band \
            (0…24, 25…74, 75…100) takes the place of what renders in a lower one
            """,
            "50"
        ),
        SpecificationKey(
            "after",
            "list of at most 100 ids or keys of jobs that have to succeed first",
            "none"
        ),
        SpecificationKey("parameters", "mapping: the axes", "required"),
        SpecificationKey(
            "combination",
            "expression over axes: `a * b` product, `(a, b)` zip",
            "the product of all axes"
        ),
        SpecificationKey("render", "mapping: values that all images share", "empty"),
        SpecificationKey("output", "mapping", "as below"),
        SpecificationKey("requirements", "mapping: what a worker has to be", "anything"),
        SpecificationKey(
            "class",
            "`any`, `same`: whether all images have the numeric class of the first claimed",
            "`any`"
        ),
        SpecificationKey("limits", "mapping", "as below"),
        SpecificationKey("chunk", "mapping: how many images a task gets", "as below"),
        SpecificationKey(
            "draft",
            "mapping: each image waits, as a draft, until a person keeps or drops it; all are of one "
                + "`class`, and each is a task of its own",
            "none: images are finished"
        ),
        SpecificationKey(
            "start_after",
            "moment as `2026-12-01T20:00:00Z`, before which nothing starts",
            "at once"
        ),
        SpecificationKey(
            "finish_by",
            "moment by which the pictures are wanted: where a worker alone is too slow for one, a "
                + "group renders it; later ones are kept all the same",
            "none"
        ),
        SpecificationKey("on_done", "mapping", "nothing"),
    ]

    private static let parameters = [
        SpecificationKey("parameters.prompt", "text", "required", isAxis: true),
        SpecificationKey(
            "parameters.references",
            "list of references, a set; a list of sets is an axis",
            "none",
            isAxis: true
        ),
        SpecificationKey(
            "parameters.references[].image",
            "a picture's file, relative to the job's",
            "required"
        ),
        SpecificationKey("parameters.references[].task", "`ip`, `id`, `style`", "required"),
        SpecificationKey(
            "parameters.references[].slot",
            "whole number 1…9, once in a set: slot 2 is `[ref#2]`",
            "the position in the set"
        ),
        SpecificationKey(
            "parameters.references[].background",
            "`keep`; removing it is refused: not supported yet",
            "`keep`"
        ),
        SpecificationKey(
            "parameters.references[].sha256",
            "64 hexadecimal digits",
            "filled in by `submit`"
        ),
        SpecificationKey(
            "parameters.seed",
            "whole number from 0, or ranges `7`, `1-8`, `1-10:2`, `1,4,9`; the noise takes the "
                + "low 32 bits, as PyTorch does",
            "one random seed for the whole job",
            isAxis: true
        ),
        SpecificationKey(
            "parameters.size",
            "`WIDTHxHEIGHT`, multiples of 16 from 16 to 16384, at most 67108864 pixels",
            modelsOwn,
            isAxis: true
        ),
        SpecificationKey("parameters.guidance", "number 0…1000", modelsOwn, isAxis: true),
    ]

    private static let render = [
        SpecificationKey("render.steps", "whole number 1…1000", modelsOwn, isAxis: true),
        SpecificationKey("render.negative_prompt", "text", "empty", isAxis: true),
        SpecificationKey(
            "render.true_cfg",
            "mapping: classifier-free guidance with the negative prompt",
            "off",
            isAxis: true
        ),
        SpecificationKey("render.true_cfg.scale", "number 0…1000; up to 1 is off", "1"),
        SpecificationKey("render.true_cfg.start", "whole number 0…1000: the first step", "0"),
        SpecificationKey("render.true_cfg.end", "whole number 0…1000: the step after it", "0"),
        SpecificationKey("render.true_cfg.guidance", "number 0…1000", "3.5"),
        SpecificationKey(
            "render.first_step_guidance",
            "number 0…1000; 0 is as `guidance`",
            "0",
            isAxis: true
        ),
        SpecificationKey(
            "render.prepare",
            "`none`, `resize`; `full` is refused: not supported yet",
            "`resize`",
            isAxis: true
        ),
        SpecificationKey(
            "render.ref_res",
            "whole number 16…4096, a multiple of 16",
            modelsOwn,
            isAxis: true
        ),
        SpecificationKey("render.posterior", "`mode`, `sample`", "`mode`", isAxis: true),
        SpecificationKey("render.noise", "`float32`, `bfloat16`", "`float32`", isAxis: true),
        SpecificationKey(
            "render.step_cache",
            "number 0…1: how like the last computed step's a step's first block must be for the "
                + "other blocks to be left out; 0 computes every step, 0.12 is a beginning",
            "0",
            isAxis: true
        ),
        SpecificationKey(
            "render.max_text_tokens",
            "whole number 1…512",
            "the model's limit",
            isAxis: true
        ),
        SpecificationKey(
            "render.loras",
            "list of at most 8 adapters, a set; a list of sets is an axis",
            "none",
            isAxis: true
        ),
        SpecificationKey(
            "render.loras[].file",
            "a safetensors file, relative to the job's",
            "required"
        ),
        SpecificationKey("render.loras[].weight", "number -16…16", "1"),
        SpecificationKey("render.loras[].sha256", "64 hexadecimal digits", "filled in by `submit`"),
    ]

    private static let rest = [
        SpecificationKey("output.format", "`png`", "`png`"),
        SpecificationKey(
            "output.name",
            "template that ends in `.png`",
            "`\(OutputName.standard)`"
        ),
        SpecificationKey("requirements.precision", "a precision's name, as `int8`", "any"),
        SpecificationKey(
            "requirements.numeric_class",
            "a numeric class, as `dreamfarm workers -o json` shows it: only workers of it render the job; "
                + "with `group` a group's, as `…/int8/tp2`, which workers of `…/int8` make",
            "any"
        ),
        SpecificationKey(
            "requirements.memory",
            "bytes, or an amount as `16GiB`: memory for rendering",
            "any"
        ),
        SpecificationKey(
            "requirements.group",
            "whole number 1…64: workers that render one picture together",
            "any"
        ),
        SpecificationKey("requirements.pool", "a pool's name", "any"),
        SpecificationKey("requirements.tags", "list of tags, all of which a worker has", "none"),
        SpecificationKey(
            "requirements.limits",
            "list of at most \(JobRequirements.mostLimits) named limits, as `dreamfarm limits ls` "
                + "shows them: each task at work takes a place of each",
            "none"
        ),
        SpecificationKey("limits.max_workers", "whole number 1…100000: tasks at one time", "none"),
        SpecificationKey(
            "limits.max_attempts",
            "whole number 1…100: tries of a task",
            "\(JobLimits.standardAttempts)"
        ),
        SpecificationKey(
            "limits.max_failures",
            "whole number 1…\(images): failed images after which the rest is cancelled, within "
                + "about 5 s",
            "none"
        ),
        SpecificationKey(
            "chunk.target_seconds",
            "number 0…86400: how long a task is to take; 0 is one image a task",
            "\(Int(JobChunk.standardTarget))"
        ),
        SpecificationKey(
            "chunk.count",
            "whole number 1…1000: images a task, instead of `target_seconds`",
            "none"
        ),
        SpecificationKey(
            "draft.steps",
            "whole number from 1, less than the steps of every image: after how many it waits",
            "required"
        ),
        SpecificationKey(
            "on_done.webhook",
            "`http` or `https` URL that is told the end, and that drafts wait; of the public internet, unless the "
                + "farm's operator allows others",
            "none"
        ),
    ]
}
