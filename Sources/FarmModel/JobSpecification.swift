/// What a person submits: one checked job, not yet expanded into images.
///
/// Two specifications that mean the same have the same ``document`` and digest, however they
/// were written.
package struct JobSpecification: Hashable, Sendable {
    /// The value of `specification` that this release reads.
    package static let version = "dreamfarm/1"
    /// How many images a job may have.
    package static let largestImageCount = 100_000

    /// The job's name, or nil where it has none.
    package var name: String?
    /// The model's registered name, or nil for the farm's default.
    package var model: String?
    /// Orders the jobs of one owner; 0…100.
    package var priority: Int
    /// The axes in the order in which they are multiplied when nothing else is said.
    package var axes: [ParameterAxis]
    /// The values that all images share.
    package var render: [Parameter: ParameterValue]
    /// How often a task may be tried.
    package var maxAttempts: Int
    package var output: OutputName
    /// What is doubtful but accepted.
    package var warnings: [SpecificationProblem]

    var combination: Combination
    /// The combination as it was written, or nil where it was left out.
    var writtenCombination: String?

    /// The canonical document: every axis a list, every default that is not the model's written.
    package var document: SpecificationValue {
        var entries: [String: SpecificationValue] = [
            "specification": .string(Self.version),
            "priority": .integer(priority),
            "parameters": .mapping(
                Dictionary(
                    uniqueKeysWithValues: axes.map {
                        ($0.parameter.rawValue, .list($0.values.map(\.specification)))
                    }
                )
            ),
            "combination": .string(combination.text),
            "render": .mapping(
                Dictionary(
                    uniqueKeysWithValues: render.filter { $0.value != .off }
                        .map { ($0.key.rawValue, $0.value.specification) }
                )
            ),
            "output": .mapping(["format": .string("png"), "name": .string(output.template)]),
            "limits": .mapping(["max_attempts": .integer(maxAttempts)]),
        ]
        if let name { entries["name"] = .string(name) }
        if let model { entries["model"] = .string(model) }
        return .mapping(entries)
    }

    /// The canonical document as JSON text.
    package var canonicalJSON: String { document.canonicalJSON }

    /// The digest of the canonical document: equal for specifications that mean the same.
    package var digest: BlobDigest { BlobDigest(ofText: canonicalJSON) }

    /// Every reference of every axis value, in order and with repetitions.
    package var references: [ConditionSpecification] {
        axes.flatMap(\.values).flatMap { value -> [ConditionSpecification] in
            if case .references(let conditions) = value { conditions } else { [] }
        }
    }

    /// The same job with the digest of each reference file filled in from its name.
    package func withDigests(_ digests: [String: BlobDigest]) -> JobSpecification {
        var result = self
        result.axes = axes.map { axis in
            ParameterAxis(
                parameter: axis.parameter,
                values: axis.values.map { value in
                    guard case .references(var conditions) = value else { return value }
                    for index in conditions.indices where conditions[index].sha256 == nil {
                        conditions[index].sha256 = digests[conditions[index].image]
                    }
                    return .references(conditions)
                }
            )
        }
        return result
    }
}
