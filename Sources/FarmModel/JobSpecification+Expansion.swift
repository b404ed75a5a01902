/// One image of a job: a point of its parameter space with everything that is needed to render.
package struct ImagePoint: Hashable, Sendable {
    /// The image's place in its job, from 0; it never changes.
    package var index: Int
    /// The output file's name, a relative path that stays in its folder.
    package var name: String
    /// For each axis the index of the image's value in it.
    package var coordinates: [Parameter: Int]
    /// Everything that decides the picture but the model.
    package var settings: RenderSettings
}

extension JobSpecification {
    /// The images of the job, in order.
    ///
    /// - Parameters:
    ///   - defaults: What the model renders with where the job does not say.
    ///   - seed: The seed of a job that names none, drawn once for the whole job.
    ///   - label: What stands for `{job}` in names where the job has no name.
    /// - Returns: At least one image, with indices from 0.
    package func images(defaults: ModelDefaults, seed: Int64, label: String) -> [ImagePoint] {
        combination.points(of: lengths).enumerated().map { index, point in
            var settings = RenderSettings(defaults: defaults, seed: seed)
            for value in render.values { settings.apply(value) }
            for axis in axes { settings.apply(axis.values[point[axis.parameter, default: 0]]) }
            return ImagePoint(
                index: index,
                name: outputName(index: index, point: point, settings: settings, label: label),
                coordinates: point,
                settings: settings
            )
        }
    }

    private func outputName(
        index: Int,
        point: Combination.Point,
        settings: RenderSettings,
        label: String
    ) -> String {
        output.name(job: name ?? label, index: index) { parameter in
            (settings.value(of: parameter)?.fileNamePart ?? "", point[parameter, default: 0])
        }
    }

    // MARK: - Checks of the whole

    /// Notes each prompt with a placeholder that the references beside it do not fill.
    func checkPlaceholders(_ findings: inout SpecificationFindings) {
        let prompts = axes.first { $0.parameter == .prompt }?.values ?? []
        let sets = axes.first { $0.parameter == .references }?.values ?? []
        let slots = prompts.map { value -> Set<Int> in
            if case .prompt(let text) = value { Self.placeholders(in: text) } else { [] }
        }
        var seen: Set<SpecificationProblem> = []
        for point in combination.points(of: lengths) {
            let prompt = point[.prompt, default: 0]
            let set = point[.references, default: 0]
            guard slots.indices.contains(prompt), !slots[prompt].isEmpty else { continue }
            var filled: Set<Int> = []
            if sets.indices.contains(set), case .references(let conditions) = sets[set] {
                filled = Set(conditions.map(\.slot))
            }
            for slot in slots[prompt].sorted() where !filled.contains(slot) {
                let problem = SpecificationProblem(
                    path: "parameters.prompt[\(prompt)]",
                    message: "[ref#\(slot)] has no reference in slot \(slot)"
                        + (sets.isEmpty ? "" : " of parameters.references[\(set)]")
                        + "; add one or remove the placeholder"
                )
                guard seen.insert(problem).inserted else { continue }
                findings.refuse(problem.path, problem.message)
            }
        }
    }

    /// Notes the first two images that would have one name.
    func checkNames(_ findings: inout SpecificationFindings) {
        let defaults = ModelDefaults(width: 16, height: 16, refRes: 16, steps: 1, guidance: 0)
        var indices: [String: Int] = [:]
        for image in images(defaults: defaults, seed: 0, label: "job") {
            guard OutputName.isSafe(image.name) else {
                findings.refuse("output.name", "gives image \(image.index) an unusable name")
                return
            }
            if let first = indices.updateValue(image.index, forKey: image.name) {
                findings.refuse(
                    "output.name",
                    "images \(first) and \(image.index) are both named '\(image.name)'; "
                        + "add {index} to the template"
                )
                return
            }
        }
    }

    /// The numbers of the placeholders `[ref#N]` in a prompt.
    private static func placeholders(in prompt: String) -> Set<Int> {
        Set(
            prompt.matches(of: /\[ref#([0-9]+)\]/).compactMap { Int($0.output.1) }
        )
    }
}

extension RenderSettings {
    /// What a job renders with where it says nothing.
    init(defaults: ModelDefaults, seed: Int64) {
        self.init(
            prompt: "",
            negativePrompt: "",
            references: [],
            seed: seed,
            width: defaults.width,
            height: defaults.height,
            steps: defaults.steps,
            guidance: defaults.guidance,
            firstStepGuidance: 0,
            trueCfg: .off,
            prepare: .resize,
            refRes: defaults.refRes,
            posterior: .mode,
            noise: .float32,
            maxTextTokens: nil,
            loras: []
        )
    }

    mutating func apply(_ value: ParameterValue) {
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
        case .off: break
        }
    }

    func value(of parameter: Parameter) -> ParameterValue? {
        switch parameter {
        case .prompt: .prompt(prompt)
        case .references: .references(references)
        case .seed: .seed(seed)
        case .size: .size(width: width, height: height)
        case .guidance: .guidance(guidance)
        case .steps: .steps(steps)
        case .negativePrompt: .negativePrompt(negativePrompt)
        case .trueGuidance: .trueGuidance(trueCfg)
        case .firstStepGuidance: .firstStepGuidance(firstStepGuidance)
        case .prepare: .prepare(prepare)
        case .referenceResolution: .referenceResolution(refRes)
        case .posterior: .posterior(posterior)
        case .noise: .noise(noise)
        case .maxTextTokens: maxTextTokens.map(ParameterValue.maxTextTokens)
        case .stepCache, .loras: nil
        }
    }
}
