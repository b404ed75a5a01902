import BlobStore
import FarmModel

/// What was found of the files that a specification names.
struct ReferenceFindings: Sendable {
    /// How large the references are that are pictures.
    private(set) var sizes: [BlobDigest: PixelSize] = [:]
    /// Files that the farm lacks.
    private(set) var missing: [BlobDigest] = []
    /// What is said of files that the farm lacks.
    private(set) var missingProblems: [SpecificationProblem] = []
    /// What is said of references that are no pictures.
    private(set) var pictureProblems: [SpecificationProblem] = []

    /// Looks at every reference and LoRA of a specification.
    ///
    /// - Parameters:
    ///   - specification: The job.
    ///   - owner: Whose files it may name; nil for those of all owners.
    ///   - api: Where they are.
    /// - Throws: What the stores throw.
    init(
        of specification: JobSpecification,
        for owner: String?,
        _ api: CoordinatorAPI
    ) async throws {
        missing = try await api.missing(among: specification.blobs, for: owner)
        let lacking = Set(missing)
        for axis in specification.axes {
            for (index, value) in axis.values.enumerated() {
                switch value {
                case .references(let conditions):
                    for (position, condition) in conditions.enumerated() {
                        let path = "parameters.references[\(index)][\(position)].image"
                        try await look(at: condition, path, lacking, api.pictures)
                    }
                case .loras(let adapters):
                    let set = axis.values.count == 1 ? "render.loras" : "parameters.loras[\(index)]"
                    for (position, lora) in adapters.enumerated() {
                        note(lora.sha256, "'\(lora.file)'", "\(set)[\(position)].file", lacking)
                    }
                default: continue
                }
            }
        }
    }

    private mutating func look(
        at condition: ConditionSpecification,
        _ path: String,
        _ lacking: Set<BlobDigest>,
        _ pictures: PictureCheck
    ) async throws {
        note(condition.sha256, "'\(condition.image)'", path, lacking)
        guard let digest = condition.sha256, !lacking.contains(digest) else { return }
        switch try await pictures.finding(of: digest, name: condition.image) {
        case .picture(let size): sizes[digest] = size
        case .broken(let reason):
            pictureProblems.append(SpecificationProblem(path: path, message: reason))
        }
    }

    private mutating func note(
        _ digest: BlobDigest?,
        _ name: String,
        _ path: String,
        _ lacking: Set<BlobDigest>
    ) {
        guard let digest else {
            missingProblems.append(
                SpecificationProblem(
                    path: path,
                    message: "\(name) has no sha256; submit with the command"
                )
            )
            return
        }
        guard lacking.contains(digest) else { return }
        missingProblems.append(
            SpecificationProblem(
                path: path,
                message: "\(name) is not uploaded; PUT it to /v1/blobs/\(digest)"
            )
        )
    }

    /// Refuses files that are not there.
    func check() throws {
        guard missingProblems.isEmpty else {
            throw CoordinatorProblem(
                .missingBlobs,
                missingProblems[0].description,
                problems: missingProblems
            )
        }
    }
}
