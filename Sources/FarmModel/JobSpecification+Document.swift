import FoundationEssentials

/// The job as a document again.
extension JobSpecification {
    /// The document of the job.
    ///
    /// - Parameter isComplete: Whether keys are written whose value holds anyway.
    /// - Returns: A mapping that reads back as the same job.
    func document(isComplete: Bool) -> SpecificationValue {
        var entries: [String: SpecificationValue] = ["specification": .string(Self.version)]
        if let name { entries["name"] = .string(name) }
        if let model { entries["model"] = .string(model) }
        if isComplete || priority != Self.standardPriority {
            entries["priority"] = .integer(priority)
        }
        if !after.isEmpty {
            // Their order means nothing, but a complaint about one names its place as written.
            let names = isComplete ? after : Set(after).sorted()
            entries["after"] = .list(names.map { .string($0) })
        }
        writeAxes(to: &entries, isComplete: isComplete)
        if let combination, combination != defaultCombination {
            entries["combination"] = .string(combination.text)
        }
        let requirements = requirements.entries
        if !requirements.isEmpty { entries["requirements"] = .mapping(requirements) }
        if isSameClass || isComplete { entries["class"] = .string(isSameClass ? "same" : "any") }
        let limits = limits.entries(isComplete: isComplete)
        if !limits.isEmpty { entries["limits"] = .mapping(limits) }
        if let chunk = chunk.entry(isComplete: isComplete) { entries["chunk"] = chunk }
        if let draftSteps { entries["draft"] = .mapping(["steps": .integer(draftSteps)]) }
        if let startAfter { entries["start_after"] = Self.moment(startAfter) }
        if let finishBy { entries["finish_by"] = Self.moment(finishBy) }
        if let webhook { entries["on_done"] = .mapping(["webhook": .string(webhook)]) }
        if isComplete || output.template != OutputName.standard {
            entries["output"] = .mapping(
                ["format": .string("png"), "name": .string(output.template)]
            )
        }
        return .mapping(entries)
    }

    private static func moment(_ date: Date) -> SpecificationValue {
        .string(date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    }

    /// What the combination is where a job does not say.
    private var defaultCombination: Combination? {
        Combination.product(axes.map { .axis($0.parameter) }).simplified(lengths)
    }

    private func writeAxes(to entries: inout [String: SpecificationValue], isComplete: Bool) {
        var parameters: [String: SpecificationValue] = [:]
        var render: [String: SpecificationValue] = [:]
        for axis in axes {
            let key = axis.parameter.rawValue
            if axis.parameter.isRenderKey, axis.values.count == 1, let value = axis.values.first {
                let isStandard = value == axis.parameter.standard
                if isComplete || !isStandard { render[key] = value.specification }
            } else if axis.values.count == 1, axis.values.first == axis.parameter.standard {
                if isComplete { parameters[key] = axis.specification }
            } else {
                parameters[key] = axis.specification
            }
        }
        entries["parameters"] = .mapping(parameters)
        if !render.isEmpty { entries["render"] = .mapping(render) }
    }
}

extension ParameterAxis {
    /// The axis as a specification writes it: seeds as ranges, anything else as a list.
    fileprivate var specification: SpecificationValue {
        guard parameter == .seed else { return .list(values.map(\.specification)) }
        let seeds = values.compactMap { value -> Int64? in
            if case .seed(let seed) = value { seed } else { nil }
        }
        return .string(SeedRange.text(of: seeds))
    }
}

extension JobRequirements {
    fileprivate var entries: [String: SpecificationValue] {
        var entries: [String: SpecificationValue] = [:]
        if let precision { entries["precision"] = .string(precision) }
        if let numericClass { entries["numeric_class"] = .string(numericClass) }
        if let memoryBytes { entries["memory"] = .integer(Int(memoryBytes)) }
        if let group { entries["group"] = .integer(group) }
        if let pool { entries["pool"] = .string(pool) }
        if !tags.isEmpty { entries["tags"] = .list(tags.map { .string($0) }) }
        if let limits { entries["limits"] = .list(limits.map { .string($0) }) }
        return entries
    }
}

extension JobLimits {
    fileprivate func entries(isComplete: Bool) -> [String: SpecificationValue] {
        var entries: [String: SpecificationValue] = [:]
        if let maxWorkers { entries["max_workers"] = .integer(maxWorkers) }
        if isComplete || maxAttempts != Self.standardAttempts {
            entries["max_attempts"] = .integer(maxAttempts)
        }
        if let maxFailures { entries["max_failures"] = .integer(maxFailures) }
        return entries
    }
}

extension JobChunk {
    fileprivate func entry(isComplete: Bool) -> SpecificationValue? {
        if let count { return .mapping(["count": .integer(count)]) }
        guard isComplete || targetSeconds != Self.standardTarget else { return nil }
        return .mapping(["target_seconds": .number(targetSeconds)])
    }
}
