import Diffusion
import FarmModel

/// A job of one picture that is rendered to be compared with one that was delivered.
struct VerificationJob {
    let settings: RenderSettings
    /// The model's name in the farm.
    let model: String
    /// That of the picture.
    let numericClass: Provenance.NumericClass

    /// The job.
    ///
    /// - Throws: ``JobSpecificationError`` where the settings are no job's.
    var specification: JobSpecification {
        get throws(JobSpecificationError) { try JobSpecification(document: document) }
    }

    private var document: SpecificationValue {
        .mapping([
            "specification": .string("dreamfarm/1"),
            "name": .string("verify"),
            "model": .string(model),
            "parameters": .mapping([
                "prompt": .string(settings.prompt),
                "references": .list([.list(settings.references.map(Self.reference))]),
                "seed": .integer(Int(settings.seed)),
                "size": .string("\(settings.width)x\(settings.height)"),
                "guidance": .number(settings.guidance),
            ]),
            "render": .mapping(render),
            "requirements": .mapping(requirements),
        ])
    }

    /// A group's class asks for a group, too, so that one is made.
    private var requirements: [String: SpecificationValue] {
        var requirements = ["numeric_class": SpecificationValue.string("\(numericClass)")]
        if let ranks = numericClass.ranks, ranks > 1 { requirements["group"] = .integer(ranks) }
        return requirements
    }

    private var render: [String: SpecificationValue] {
        let cfg = settings.trueCfg
        var render: [String: SpecificationValue] = [
            "steps": .integer(settings.steps),
            "negative_prompt": .string(settings.negativePrompt),
            "true_cfg": .mapping([
                "scale": .number(cfg.scale), "start": .integer(cfg.start),
                "end": .integer(cfg.end), "guidance": .number(cfg.guidance),
            ]),
            "first_step_guidance": .number(settings.firstStepGuidance),
            "prepare": .string(settings.prepare.rawValue),
            "ref_res": .integer(settings.refRes),
            "posterior": .string(settings.posterior.rawValue),
            "noise": .string(settings.noise.rawValue),
        ]
        if let tokens = settings.maxTextTokens { render["max_text_tokens"] = .integer(tokens) }
        if let threshold = settings.stepCache { render["step_cache"] = .number(threshold) }
        if !settings.loras.isEmpty { render["loras"] = .list(settings.loras.map(Self.lora)) }
        return render
    }

    private static func reference(_ condition: ConditionSpecification) -> SpecificationValue {
        var entry: [String: SpecificationValue] = [
            "image": .string(condition.image), "task": .string(condition.task.rawValue),
            "slot": .integer(condition.slot),
        ]
        if let digest = condition.sha256 { entry["sha256"] = .string(digest.rawValue) }
        return .mapping(entry)
    }

    private static func lora(_ lora: LoraSpecification) -> SpecificationValue {
        var entry: [String: SpecificationValue] = [
            "file": .string(lora.file), "weight": .number(lora.weight),
        ]
        if let digest = lora.sha256 { entry["sha256"] = .string(digest.rawValue) }
        return .mapping(entry)
    }
}

extension RenderSettings {
    /// The settings that a picture says it was made with.
    ///
    /// The names of reference files are not in a picture; their digests stand for them.
    init(_ provenance: Provenance) {
        let settings = provenance.settings
        let cfg = settings.trueCFG
        self.init(
            prompt: provenance.prompt,
            negativePrompt: provenance.negativePrompt ?? "",
            references: provenance.references.map { reference in
                ConditionSpecification(
                    image: reference.digest,
                    sha256: BlobDigest(rawValue: reference.digest),
                    task: ConditionTask(rawValue: reference.task.rawValue) ?? .ip,
                    slot: reference.slot
                )
            },
            seed: Int64(bitPattern: provenance.seed),
            width: settings.width,
            height: settings.height,
            steps: settings.steps,
            guidance: Self.decimal(settings.guidance),
            firstStepGuidance: Self.decimal(settings.firstStepGuidance),
            trueCfg: cfg.map { values in
                TrueGuidance(
                    scale: Self.decimal(values[0]),
                    start: Int(values[1]),
                    end: Int(values[2]),
                    guidance: Self.decimal(values[3])
                )
            } ?? .off,
            prepare: Preparation(rawValue: settings.prepare.rawValue) ?? .resize,
            refRes: settings.refRes,
            posterior: PosteriorChoice(rawValue: settings.posterior.rawValue) ?? .mode,
            noise: FarmModel.NoisePrecision(rawValue: settings.noise.rawValue) ?? .float32,
            maxTextTokens: settings.maxTextTokens,
            loras: provenance.loras.map { lora in
                LoraSpecification(
                    file: lora.name,
                    sha256: BlobDigest(rawValue: lora.digest),
                    weight: Self.decimal(lora.weight)
                )
            }
        )
    }

    /// The shortest decimal number that is the same in single precision.
    private static func decimal(_ value: Float) -> Double {
        Double("\(value)") ?? Double(value)
    }
}
