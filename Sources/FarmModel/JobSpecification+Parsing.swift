extension JobSpecification {
    /// The keys at the top of a job.
    static let keys = [
        "specification", "name", "model", "priority", "parameters", "combination", "render",
        "output", "limits", "class",
    ]
    /// Keys at the top that are refused as not supported yet.
    static let laterKeys = ["after", "requirements", "chunk", "start_after", "on_done"]
    /// The keys under `limits`.
    static let limitKeys = ["max_attempts"]
    /// Keys under `limits` that are refused as not supported yet.
    static let laterLimitKeys = ["max_workers", "max_failures"]
    /// The keys under `output`.
    static let outputKeys = ["format", "name"]

    /// Reads and checks a job as YAML or JSON text.
    ///
    /// - Throws: ``JobSpecificationError`` with every problem and its path.
    package init(parsing text: String) throws(JobSpecificationError) {
        try self.init(document: SpecificationValue(yaml: text))
    }

    /// Checks a job that is already a tree of values.
    ///
    /// - Throws: ``JobSpecificationError`` with every problem and its path.
    package init(document: SpecificationValue) throws(JobSpecificationError) {
        var reader = ParameterReader(findings: SpecificationFindings())
        let known = Self.keys + Self.laterKeys
        guard let entries = reader.mapping(document, known: known, "") else {
            throw JobSpecificationError(problems: reader.findings.problems)
        }
        for key in Self.laterKeys where entries[key] != nil {
            reader.findings.refuseUnsupported(key)
        }
        if let version = entries["specification"], version != .string(Self.version) {
            reader.findings.refuse("specification", "must be \(Self.version)")
        }
        if let wanted = entries["class"], wanted != .string("any") {
            reader.findings.refuse("class", "only 'any' is supported yet by this release")
        }
        name = entries["name"].flatMap { reader.name($0, "name") }
        model = entries["model"].flatMap { reader.text($0, "model") }
        priority = reader.integer(entries["priority"] ?? .integer(50), in: 0...100, "priority") ?? 0
        axes = reader.axes(entries["parameters"])
        render = reader.render(entries["render"], axes: axes.map(\.parameter))
        maxAttempts = reader.limits(entries["limits"])
        output = reader.output(entries["output"])
        writtenCombination = nil
        combination = .product([])
        if let written = entries["combination"] {
            writtenCombination = reader.text(written, "combination")
        }
        warnings = []
        try reader.findings.check()

        do throws(CombinationError) {
            combination = try Self.combination(writtenCombination, axes: axes.map(\.parameter))
            _ = try combination.count(of: lengths, limit: Self.largestImageCount)
        } catch {
            throw JobSpecificationError(path: "combination", message: error.message)
        }
        checkPlaceholders(&reader.findings)
        checkNames(&reader.findings)
        try reader.findings.check()
        warnings = reader.findings.warnings
    }

    /// How many values each axis has.
    var lengths: [Parameter: Int] {
        Dictionary(uniqueKeysWithValues: axes.map { ($0.parameter, $0.values.count) })
    }

    /// What `text` says about the axes, with those it does not name multiplied at the end.
    private static func combination(
        _ text: String?,
        axes: [Parameter]
    ) throws(CombinationError) -> Combination {
        guard let text else { return .product(axes.map(Combination.axis)) }
        let written = try Combination(parsing: text)
        for axis in written.axes where !axes.contains(axis) {
            // A parameter that the job leaves out is an axis of its default.
            guard [.seed, .size, .guidance].contains(axis) || axis.isRenderKey else {
                throw .unknownAxis(axis.rawValue)
            }
        }
        let rest = axes.filter { !written.axes.contains($0) }
        guard !rest.isEmpty else { return written }
        let terms = if case .product(let terms) = written { terms } else { [written] }
        return .product(terms + rest.map(Combination.axis))
    }
}

extension ParameterReader {
    /// A name that may stand in a file's name.
    mutating func name(_ value: SpecificationValue, _ path: String) -> String? {
        guard let text = text(value, path) else { return nil }
        guard OutputName.isSafe(text), !text.contains("/"), text.utf8.count <= 128 else {
            findings.refuse(path, "must be 1 to 128 characters without '/' or control characters")
            return nil
        }
        return text
    }

    mutating func axes(_ value: SpecificationValue?) -> [ParameterAxis] {
        guard let value else {
            findings.refuse("parameters", "is missing; give at least a prompt")
            return []
        }
        let known = Parameter.allCases.map(\.rawValue)
        guard let entries = mapping(value, known: known, "parameters") else { return [] }
        if entries["prompt"] == nil {
            findings.refuse("parameters.prompt", "is missing; give a prompt")
        }
        return Parameter.allCases.compactMap { parameter in
            guard let written = entries[parameter.rawValue] else { return nil }
            return axis(parameter, written, "parameters.\(parameter.rawValue)")
        }
    }

    private mutating func axis(
        _ parameter: Parameter,
        _ value: SpecificationValue,
        _ path: String
    ) -> ParameterAxis? {
        if parameter == .seed, let seeds = seeds(value, path) {
            return seeds.isEmpty ? nil : ParameterAxis(parameter: .seed, values: seeds)
        }
        let elements = Self.elements(of: value, for: parameter)
        guard let elements else {
            return read(parameter, value, at: path).map {
                ParameterAxis(parameter: parameter, values: [$0])
            }
        }
        guard !elements.isEmpty else {
            findings.refuse(path, "has no values; give one or leave it out")
            return nil
        }
        let values = elements.enumerated().compactMap { index, element in
            read(parameter, element, at: "\(path)[\(index)]")
        }
        return values.isEmpty ? nil : ParameterAxis(parameter: parameter, values: values)
    }

    /// The values of an axis that is written as a list, or nil for an axis of one.
    private static func elements(
        of value: SpecificationValue,
        for parameter: Parameter
    ) -> [SpecificationValue]? {
        guard case .list(let elements) = value else { return nil }
        switch parameter {
        case .references:
            // A list of mappings, or of nothing, is one set; a list of lists is an axis of sets.
            let isOneSet = elements.allSatisfy { if case .list = $0 { false } else { true } }
            return isOneSet ? nil : elements
        case .loras: return nil
        default: return elements
        }
    }

    /// The seeds of an axis, or nil where the value is one seed or wrong as a whole.
    private mutating func seeds(
        _ value: SpecificationValue,
        _ path: String
    ) -> [ParameterValue]? {
        let elements = if case .list(let elements) = value { elements } else { [value] }
        var result: [ParameterValue] = []
        for (index, element) in elements.enumerated() {
            let place = elements.count == 1 && elements[0] == value ? path : "\(path)[\(index)]"
            if case .string(let text) = element {
                let limit = JobSpecification.largestImageCount
                guard let seeds = SeedRange.seeds(in: text, limit: limit) else {
                    findings.refuse(
                        place,
                        "must be seeds like 7, 1-8, 1-10:2 or 1,4,9 (at most \(limit)), "
                            + "not \(Self.quote(element))"
                    )
                    continue
                }
                result += seeds.map(ParameterValue.seed)
            } else if let seed = read(.seed, element, at: place) {
                result.append(seed)
            }
        }
        if elements.isEmpty { findings.refuse(path, "has no values; give one or leave it out") }
        return result
    }

    mutating func render(
        _ value: SpecificationValue?,
        axes: [Parameter]
    ) -> [Parameter: ParameterValue] {
        let parameters = Parameter.allCases.filter(\.isRenderKey)
        guard let value,
            let entries = mapping(value, known: parameters.map(\.rawValue), "render")
        else { return [:] }
        var result: [Parameter: ParameterValue] = [:]
        for parameter in parameters {
            guard let written = entries[parameter.rawValue] else { continue }
            let path = "render.\(parameter.rawValue)"
            if axes.contains(parameter) {
                findings.refuse(path, "is given under parameters too; give it once")
            }
            result[parameter] = read(parameter, written, at: path)
        }
        return result
    }

    mutating func limits(_ value: SpecificationValue?) -> Int {
        let standard = 5
        let later = JobSpecification.laterLimitKeys
        guard let value,
            let entries = mapping(value, known: JobSpecification.limitKeys + later, "limits")
        else { return standard }
        for key in later where entries[key] != nil { findings.refuseUnsupported("limits.\(key)") }
        guard let attempts = entries["max_attempts"] else { return standard }
        return integer(attempts, in: 1...100, "limits.max_attempts") ?? standard
    }

    mutating func output(_ value: SpecificationValue?) -> OutputName {
        let entries =
            value.flatMap { mapping($0, known: JobSpecification.outputKeys, "output") } ?? [:]
        if let format = entries["format"], format != .string("png") {
            findings.refuse("output.format", "only png is supported yet by this release")
        }
        let template = entries["name"].flatMap { text($0, "output.name") } ?? OutputName.standard
        do {
            return try OutputName(parsing: template)
        } catch {
            findings.refuse("output.name", error.message)
            return OutputName(refused: template)
        }
    }
}
