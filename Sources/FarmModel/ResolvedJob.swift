import FoundationEssentials

/// One image of a job: a point of its parameter space with everything that is needed to render.
package struct ImagePoint: Hashable, Sendable {
    /// The image's place in its job, from 0; it never changes.
    package var index: Int
    /// The output file's name, a relative path that stays in its folder.
    package var name: String
    /// For each axis of several values, the index of the image's value in it.
    package var coordinates: [Parameter: Int]
    /// Everything that decides the picture but the model.
    package var settings: RenderSettings
}

/// A job in which nothing is left open: what the farm keeps, and what its images follow from.
///
/// Images are made on demand, each by itself, so that a job of a hundred thousand takes no more
/// memory than its specification.
package struct ResolvedJob: Hashable, Sendable {
    /// The job with its name, its model and every setting.
    package let specification: JobSpecification
    package let modelDigest: String
    /// What all images share.
    private let base: RenderSettings
    /// The axes of several values.
    private let axes: [ParameterAxis]

    /// Fixes what a job leaves open.
    ///
    /// - Parameters:
    ///   - specification: The job as it was submitted.
    ///   - model: The name of its model.
    ///   - modelDigest: The digest that the name means now.
    ///   - defaults: What the model renders with where the job does not say.
    ///   - seed: The seed of a job that names none, drawn once for the whole job.
    ///   - label: The name of a job that has none.
    package init(
        _ specification: JobSpecification,
        model: String,
        modelDigest: String,
        defaults: ModelDefaults,
        seed: Int64,
        label: String
    ) {
        var complete = specification
        complete.name = specification.name ?? label
        complete.model = model
        complete.axes = Parameter.allCases.compactMap { parameter in
            if let axis = specification.axes.first(where: { $0.parameter == parameter }) {
                return axis
            }
            let value = parameter.standard ?? defaults.value(of: parameter, seed: seed)
            return value.map { ParameterAxis(parameter: parameter, values: [$0]) }
        }
        self.init(complete: complete, modelDigest: modelDigest)
    }

    private init(complete: JobSpecification, modelDigest: String) {
        specification = complete
        self.modelDigest = modelDigest
        var base = RenderSettings.blank
        for axis in complete.axes where axis.values.count == 1 { base.apply(axis.values[0]) }
        self.base = base
        axes = complete.axes.filter { $0.values.count > 1 }
    }

    /// The job's name, which stands for `{job}`.
    package var name: String { specification.name ?? "" }
    /// The name of its model.
    package var model: String { specification.model ?? "" }
    package var imageCount: Int { specification.imageCount }

    /// The axes of several values, as the API gives them.
    var axesView: [JobAxisView] {
        axes.map { axis in
            JobAxisView(
                parameter: axis.parameter,
                stride: specification.layout.stride(of: axis.parameter),
                values: axis.values.map(\.specification)
            )
        }
    }

    /// Why a person cannot be asked in the middle of each image; nil where that can be.
    package var draftProblem: SpecificationProblem? {
        guard let draft = specification.draftSteps,
            let fewest = Self.fewestSteps(specification.values(of: .steps)), fewest <= draft
        else { return nil }
        return SpecificationProblem(
            path: "draft.steps",
            message: Self.refusal(draft: draft, steps: fewest)
        )
    }

    /// The fewest of the steps of an axis; nil of none.
    static func fewestSteps(_ values: [ParameterValue]) -> Int? {
        values.compactMap { if case .steps(let steps) = $0 { steps } else { nil } }.min()
    }

    static func refusal(draft: Int, steps: Int) -> String {
        "is \(draft), and images of \(steps) \(steps == 1 ? "step have" : "steps have") nothing left "
            + "to do after it; give fewer"
    }

    /// The image of an index from 0, below ``imageCount``.
    package func image(at index: Int) -> ImagePoint {
        ImagePoint(
            index: index,
            name: name(at: index),
            coordinates: Dictionary(
                uniqueKeysWithValues: axes.map { axis in
                    (axis.parameter, specification.layout.position(of: axis.parameter, in: index))
                }
            ),
            settings: settings(at: index)
        )
    }

    /// Everything that decides one picture but the model.
    package func settings(at index: Int) -> RenderSettings {
        precondition((0..<imageCount).contains(index), "An index is below the count of images.")
        var settings = base
        for axis in axes {
            let position = specification.layout.position(of: axis.parameter, in: index)
            settings.apply(axis.values[position])
        }
        return settings
    }

    /// The name of one image's output file.
    package func name(at index: Int) -> String {
        specification.output.name(job: name, index: index) { parameter in
            let values = specification.values(of: parameter)
            guard !values.isEmpty else { return ("", 0) }
            let position = specification.layout.position(of: parameter, in: index)
            return (values[position].fileNamePart ?? "", position)
        }
    }
}

extension ResolvedJob {
    /// The key of the model's digest in the document, which a submitted job does not have.
    private static let digestKey = "model_digest"

    /// The document with every value, as JSON text: what the farm keeps.
    package var canonicalJSON: String {
        guard case .mapping(var entries) = specification.document else { return "" }
        entries[Self.digestKey] = .string(modelDigest)
        return SpecificationValue.mapping(entries).canonicalJSON
    }

    /// The digest of the document.
    package var digest: BlobDigest { BlobDigest(ofText: canonicalJSON) }

    /// Reads what ``canonicalJSON`` wrote.
    ///
    /// - Throws: ``JobSpecificationError`` for text that is no such document.
    package init(json text: String) throws(JobSpecificationError) {
        let document = try SpecificationValue(json: Data(text.utf8))
        guard case .mapping(var entries) = document,
            case .string(let digest) = entries.removeValue(forKey: Self.digestKey)
        else {
            throw JobSpecificationError(path: Self.digestKey, message: "is missing")
        }
        let specification = try JobSpecification(
            document: .mapping(entries),
            wasAccepted: true
        )
        guard specification.name != nil, specification.model != nil else {
            throw JobSpecificationError(path: "name", message: "the job is not resolved")
        }
        self.init(complete: specification, modelDigest: digest)
    }
}

extension JobSpecification {
    /// The images of the job, in order, all at once; see ``ResolvedJob`` for one at a time.
    ///
    /// - Parameters:
    ///   - defaults: What the model renders with where the job does not say.
    ///   - seed: The seed of a job that names none, drawn once for the whole job.
    ///   - label: What stands for `{job}` in names where the job has no name.
    /// - Returns: At least one image, with indices from 0.
    package func images(defaults: ModelDefaults, seed: Int64, label: String) -> [ImagePoint] {
        let job = ResolvedJob(
            self,
            model: model ?? "",
            modelDigest: "",
            defaults: defaults,
            seed: seed,
            label: label
        )
        return (0..<job.imageCount).map(job.image(at:))
    }
}

extension ModelDefaults {
    /// The value of a parameter that a job leaves to the model.
    fileprivate func value(of parameter: Parameter, seed: Int64) -> ParameterValue? {
        switch parameter {
        case .seed: .seed(seed)
        case .size: .size(width: width, height: height)
        case .guidance: .guidance(guidance)
        case .steps: .steps(steps)
        case .referenceResolution: .referenceResolution(refRes)
        default: nil
        }
    }
}

extension RenderSettings {
    /// Settings to which the values of a job's axes are applied, every one of them.
    fileprivate static let blank = RenderSettings(
        prompt: "",
        negativePrompt: "",
        references: [],
        seed: 0,
        width: 16,
        height: 16,
        steps: 1,
        guidance: 0,
        firstStepGuidance: 0,
        trueCfg: .off,
        prepare: .resize,
        refRes: 16,
        posterior: .mode,
        noise: .float32,
        maxTextTokens: nil,
        loras: []
    )

    fileprivate mutating func apply(_ value: ParameterValue) {
        switch value {
        case .prompt(let value): prompt = value
        case .references(let value): references = value
        case .seed(let value): seed = value
        case .size(let width, let height): (self.width, self.height) = (width, height)
        case .guidance(let value): guidance = value
        case .steps(let value): steps = value
        case .negativePrompt(let value): negativePrompt = value
        case .trueGuidance(let value): trueCfg = value
        case .firstStepGuidance(let value): firstStepGuidance = value
        case .prepare(let value): prepare = value
        case .referenceResolution(let value): refRes = value
        case .posterior(let value): posterior = value
        case .noise(let value): noise = value
        case .maxTextTokens(let value): maxTextTokens = value
        case .loras(let value): loras = value
        case .stepCache(let value): stepCache = value > 0 ? value : nil
        }
    }
}
