package import FoundationEssentials

/// What a person submits: one checked job, not yet expanded into images.
///
/// Two specifications that mean the same have the same ``canonicalJSON`` and digest, however they
/// were written.
package struct JobSpecification: Hashable, Sendable {
    /// The value of `specification` that this release reads.
    package static let version = "dreamfarm/1"
    /// How many images a job may have.
    package static let largestImageCount = 100_000
    /// The priority of a job that gives none.
    package static let standardPriority = 50

    /// The job's name, or nil where it has none.
    package var name: String?
    /// The model's registered name, or nil for the farm's default.
    package var model: String?
    /// Orders the jobs of one owner; 0…100.
    package var priority = standardPriority
    /// The ids or keys of the jobs that have to succeed first, as written.
    package var after: [String] = []
    /// Everything that the job gives for its images, in the order in which axes are multiplied when
    /// nothing else is said; a value that all images share is an axis of one.
    package internal(set) var axes: [ParameterAxis]
    package var requirements = JobRequirements()
    /// Whether all images have the numeric class of the first one claimed.
    package var isSameClass = false
    package var limits = JobLimits()
    package var chunk = JobChunk()
    /// After how many steps each image waits for a person to keep or drop it; nil where none does.
    package var draftSteps: Int?
    /// The moment before which nothing of it starts.
    package var startAfter: Date?
    /// The moment by which its pictures are wanted; nothing fails that is later.
    package var finishBy: Date?
    /// The URL that is told the job's end.
    package var webhook: String?
    package var output: OutputName
    /// What is doubtful but accepted.
    package var warnings: [SpecificationProblem] = []

    /// How axes of several values make the images; nil for one image.
    var combination: Combination?
    var layout: CombinationLayout

    /// Whether all images are rendered in one numeric class: as the job says, or because only a worker of
    /// a checkpoint's class goes on from a draft.
    package var isOneClass: Bool { isSameClass || draftSteps != nil }

    /// How many images the job has; at least one.
    package var imageCount: Int { layout.count }

    /// The job with every value written that is not left to the model; reading it gives an equal job.
    package var document: SpecificationValue { document(isComplete: true) }

    /// The canonical document as JSON text: without what holds anyway.
    ///
    /// A key that a later release adds does not change it for jobs that do not use the key.
    package var canonicalJSON: String { document(isComplete: false).canonicalJSON }

    /// The digest of the canonical document: equal for specifications that mean the same.
    package var digest: BlobDigest { BlobDigest(ofText: canonicalJSON) }

    /// The values of an axis; empty where the job does not give it.
    func values(of parameter: Parameter) -> [ParameterValue] {
        axes.first { $0.parameter == parameter }?.values ?? []
    }

    /// How many values each axis has.
    var lengths: [Parameter: Int] {
        Dictionary(uniqueKeysWithValues: axes.map { ($0.parameter, $0.values.count) })
    }
}

/// The files that a job names.
extension JobSpecification {
    /// Every reference of every axis value, in order and with repetitions.
    package var references: [ConditionSpecification] {
        values(of: .references).flatMap { value -> [ConditionSpecification] in
            if case .references(let conditions) = value { conditions } else { [] }
        }
    }

    /// Every adapter of the submitter's own, in order and with repetitions.
    package var loras: [LoraSpecification] {
        values(of: .loras).flatMap { value -> [LoraSpecification] in
            if case .loras(let adapters) = value { adapters } else { [] }
        }
    }

    /// The names of the files without a digest, in order, each once.
    package var files: [String] {
        var seen: Set<String> = []
        let names =
            references.filter { $0.sha256 == nil }.map(\.image)
            + loras.filter { $0.sha256 == nil }.map(\.file)
        return names.filter { seen.insert($0).inserted }
    }

    /// The names of the files without a digest, as ``files``, each with the path of the value that
    /// names it first.
    package var filePlaces: [(path: String, name: String)] {
        var seen: Set<String> = []
        return axes.flatMap { axis in
            axis.values.enumerated().flatMap { axis.fileNames(of: $1, at: $0) }
        }.filter { seen.insert($0.name).inserted }
    }

    /// The digests of the files, in order, each once.
    package var blobs: [BlobDigest] {
        var seen: Set<BlobDigest> = []
        return (references.compactMap(\.sha256) + loras.compactMap(\.sha256))
            .filter { seen.insert($0).inserted }
    }

    /// The same job with the digest of each file filled in from its name.
    package func withDigests(_ digests: [String: BlobDigest]) -> JobSpecification {
        var result = self
        result.axes = axes.map { axis in
            guard axis.parameter.isListValued else { return axis }
            return ParameterAxis(
                parameter: axis.parameter,
                values: axis.values.map { $0.withDigests(digests) }
            )
        }
        return result
    }
}

extension ParameterAxis {
    /// The files that a value of the axis names without a digest.
    fileprivate func fileNames(
        of value: ParameterValue,
        at index: Int
    ) -> [(path: String, name: String)] {
        let isOne = parameter.isRenderKey && values.count == 1
        let key = parameter.rawValue
        let place = isOne ? "render.\(key)" : "parameters.\(key)[\(index)]"
        switch value {
        case .references(let conditions):
            return conditions.enumerated().filter { $1.sha256 == nil }
                .map { ("\(place)[\($0)].image", $1.image) }
        case .loras(let adapters):
            return adapters.enumerated().filter { $1.sha256 == nil }
                .map { ("\(place)[\($0)].file", $1.file) }
        default: return []
        }
    }
}

extension ParameterValue {
    fileprivate func withDigests(_ digests: [String: BlobDigest]) -> ParameterValue {
        switch self {
        case .references(var conditions):
            for index in conditions.indices where conditions[index].sha256 == nil {
                conditions[index].sha256 = digests[conditions[index].image]
            }
            return .references(conditions)
        case .loras(var adapters):
            for index in adapters.indices where adapters[index].sha256 == nil {
                adapters[index].sha256 = digests[adapters[index].file]
            }
            return .loras(adapters)
        default: return self
        }
    }
}
