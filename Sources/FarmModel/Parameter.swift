/// A key that may be an axis of a job, in the order in which axes are multiplied when the job
/// does not say.
package enum Parameter: String, CaseIterable, Codable, Sendable {
    case prompt
    case references
    case seed
    case size
    case guidance
    case steps
    case negativePrompt = "negative_prompt"
    case trueGuidance = "true_cfg"
    case firstStepGuidance = "first_step_guidance"
    case prepare
    case referenceResolution = "ref_res"
    case posterior
    case noise
    case stepCache = "step_cache"
    case maxTextTokens = "max_text_tokens"
    case loras

    /// The value of a job that leaves the key out, where it is not the model's.
    var standard: ParameterValue? {
        switch self {
        case .prompt, .seed, .size, .guidance, .steps, .referenceResolution, .maxTextTokens: nil
        case .references: .references([])
        case .negativePrompt: .negativePrompt("")
        case .trueGuidance: .trueGuidance(.off)
        case .firstStepGuidance: .firstStepGuidance(0)
        case .prepare: .prepare(.resize)
        case .posterior: .posterior(.mode)
        case .noise: .noise(.float32)
        case .stepCache: .stepCache(0)
        case .loras: .loras([])
        }
    }

    /// Whether one value of the key is written as a list.
    var isListValued: Bool { self == .references || self == .loras }

    /// Whether the key may stand under `render`; the others stand under `parameters` only.
    var isRenderKey: Bool {
        switch self {
        case .prompt, .references, .seed, .size, .guidance: false
        default: true
        }
    }
}

/// One axis of a job: a parameter and the values that it takes in turn.
package struct ParameterAxis: Hashable, Sendable {
    package var parameter: Parameter
    /// At least one value.
    package var values: [ParameterValue]
}

/// One checked value of a parameter.
package enum ParameterValue: Hashable, Sendable {
    case prompt(String)
    case references([ConditionSpecification])
    case seed(Int64)
    case size(width: Int, height: Int)
    case guidance(Double)
    case steps(Int)
    case negativePrompt(String)
    case trueGuidance(TrueGuidance)
    case firstStepGuidance(Double)
    case prepare(Preparation)
    case referenceResolution(Int)
    case posterior(PosteriorChoice)
    case noise(NoisePrecision)
    case maxTextTokens(Int)
    case loras([LoraSpecification])
    case stepCache(Double)

    /// The value as a specification writes it.
    var specification: SpecificationValue {
        switch self {
        case .prompt(let text), .negativePrompt(let text): .string(text)
        case .references(let conditions): .list(conditions.map(\.specification))
        case .seed(let value): .integer(Int(value))
        case .size(let width, let height): .string("\(width)x\(height)")
        case .guidance(let value), .firstStepGuidance(let value): .number(value)
        case .steps(let value), .referenceResolution(let value), .maxTextTokens(let value):
            .integer(value)
        case .trueGuidance(let value):
            .mapping([
                "scale": .number(value.scale), "start": .integer(value.start),
                "end": .integer(value.end), "guidance": .number(value.guidance),
            ])
        case .prepare(let value): .string(value.rawValue)
        case .posterior(let value): .string(value.rawValue)
        case .noise(let value): .string(value.rawValue)
        case .loras(let adapters): .list(adapters.map(\.specification))
        case .stepCache(let value): value == 0 ? .integer(0) : .number(value)
        }
    }

    /// The value as part of a file name, for parameters whose values are short.
    var fileNamePart: String? {
        switch self {
        case .seed, .size, .guidance, .steps, .firstStepGuidance, .prepare, .referenceResolution,
            .posterior, .noise, .maxTextTokens, .stepCache:
            if case .string(let text) = specification { text } else { specification.canonicalJSON }
        case .prompt, .references, .negativePrompt, .trueGuidance, .loras: nil
        }
    }
}

extension ConditionSpecification {
    var specification: SpecificationValue {
        var entries: [String: SpecificationValue] = [
            "image": .string(image), "task": .string(task.rawValue), "slot": .integer(slot),
        ]
        if let sha256 { entries["sha256"] = .string(sha256.rawValue) }
        return .mapping(entries)
    }
}

extension LoraSpecification {
    var specification: SpecificationValue {
        var entries: [String: SpecificationValue] = [
            "file": .string(file), "weight": .number(weight),
        ]
        if let sha256 { entries["sha256"] = .string(sha256.rawValue) }
        return .mapping(entries)
    }
}
