package import FoundationEssentials

extension JobSpecification {
    /// Reads and checks a job as YAML or JSON text.
    ///
    /// - Throws: ``JobSpecificationError`` with every problem and its path.
    package init(parsing text: String) throws(JobSpecificationError) {
        try self.init(parsing: Data(text.utf8))
    }

    /// Reads and checks a job as a file's bytes.
    ///
    /// - Throws: ``JobSpecificationError`` with every problem and its path.
    package init(parsing file: Data) throws(JobSpecificationError) {
        try self.init(document: SpecificationValue(file: file))
    }

    /// Checks a job that is already a tree of values.
    ///
    /// - Parameters:
    ///   - document: The tree.
    ///   - wasAccepted: Whether the farm accepted it before: then the names of its images, which
    ///     may be a hundred thousand, are not compared again.
    /// - Throws: ``JobSpecificationError`` with every problem and its path.
    package init(
        document: SpecificationValue,
        wasAccepted: Bool = false
    ) throws(JobSpecificationError) {
        var reader = ParameterReader(findings: SpecificationFindings())
        let known = SpecificationKey.names(under: "")
        guard let entries = reader.mapping(document, known: known, "") else {
            try reader.findings.check()
            throw JobSpecificationError(path: "", message: "is not a job")
        }
        if let version = entries["specification"], version != .string(Self.version) {
            reader.findings.refuse("specification", "must be \(Self.version)")
        }
        name = entries["name"].flatMap { reader.name($0, "name") }
        model = entries["model"].flatMap { reader.text($0, "model") }
        if let written = entries["priority"] {
            priority = reader.integer(written, in: 0...100, "priority") ?? priority
        }
        if let written = entries["after"] { after = reader.after(written) }
        let written = reader.axes(entries["parameters"], render: entries["render"])
        output = reader.output(entries["output"])
        requirements = reader.requirements(entries["requirements"])
        isSameClass = reader.isSameClass(entries["class"])
        limits = reader.limits(entries["limits"])
        chunk = reader.chunk(entries["chunk"])
        draftSteps = reader.draftSteps(entries["draft"], axes: written, chunk: chunk)
        startAfter = entries["start_after"].flatMap { reader.moment($0, "start_after") }
        finishBy = entries["finish_by"].flatMap { reader.moment($0, "finish_by") }
        webhook = reader.webhook(entries["on_done"])

        let combination = reader.combination(entries["combination"], axes: written)
        let layout = combination.flatMap { reader.layout($0, axes: written) }
        if let layout { reader.checkPlaceholders(written, layout) }
        try reader.findings.check()

        axes = written.compactMap(\.axis)
        // What was found without a problem is there.
        guard let combination, let layout else {
            throw JobSpecificationError(path: "combination", message: "cannot be read")
        }
        self.combination = combination.simplified(written.lengths ?? [:])
        // The same order, without what a combination that means the same may name beside.
        self.layout = reader.layout(self.combination ?? .product([]), axes: written) ?? layout
        if !wasAccepted { reader.checkNames(of: self) }
        try reader.findings.check()
        warnings = reader.findings.warnings
    }
}

extension ParameterReader {
    /// A name that may stand in a file's name.
    mutating func name(_ value: SpecificationValue, _ path: String) -> String? {
        guard let text = text(value, path) else { return nil }
        guard OutputName.isSafe(text), !text.contains("/"), text.utf8.count <= 128 else {
            findings.refuse(path, "must be 1 to 128 bytes without '/' or control characters")
            return nil
        }
        return text
    }

    /// The ids or keys of jobs, as written.
    mutating func after(_ value: SpecificationValue) -> [String] {
        let elements = if case .list(let elements) = value { elements } else { [value] }
        guard elements.count <= 100 else {
            findings.refuse("after", "names \(elements.count) jobs; name at most 100")
            return []
        }
        let names = elements.enumerated().compactMap { position, element -> String? in
            let path = if case .list = value { "after[\(position)]" } else { "after" }
            guard let text = text(element, path) else { return nil }
            if let id = JobID(text) { return id.description }
            guard let key = JobKey(rawValue: text) else {
                findings.refuse(path, "must be the id or key of a job, not '\(text.prefix(40))'")
                return nil
            }
            return key.rawValue
        }
        return names
    }

    mutating func isSameClass(_ value: SpecificationValue?) -> Bool {
        switch value {
        case nil, .string("any"): return false
        case .string("same"): return true
        case .some(let other):
            findings.refuse("class", "must be one of any, same, not \(Self.quote(other))")
            return false
        }
    }

    mutating func requirements(_ value: SpecificationValue?) -> JobRequirements {
        var result = JobRequirements()
        let path = "requirements"
        guard let value,
            let entries = mapping(value, known: SpecificationKey.names(under: path), path)
        else { return result }
        result.precision = entries["precision"].flatMap { label($0, path + ".precision") }
        result.numericClass = entries["numeric_class"].flatMap {
            numericClass($0, path + ".numeric_class")
        }
        result.memoryBytes = entries["memory"].flatMap { amount($0, path + ".memory") }
        result.group = entries["group"].flatMap {
            integer($0, in: 1...GroupOffer.sizes.upperBound, path + ".group")
        }
        checkGroup(of: result, path)
        result.pool = entries["pool"].flatMap { label($0, path + ".pool") }
        if let written = entries["tags"] {
            let elements = if case .list(let elements) = written { elements } else { [written] }
            let tags = elements.enumerated().compactMap { label($1, "\(path).tags[\($0)]") }
            result.tags = Set(tags).sorted()
        }
        result.limits = entries["limits"].flatMap { limitNames($0, path + ".limits") }
        return result
    }

    /// The names of limits, each once; nil for none.
    private mutating func limitNames(
        _ value: SpecificationValue,
        _ path: String
    ) -> [String]? {
        let elements = if case .list(let elements) = value { elements } else { [value] }
        guard elements.count <= JobRequirements.mostLimits else {
            findings.refuse(
                path,
                "names \(elements.count) limits; name at most \(JobRequirements.mostLimits)"
            )
            return nil
        }
        var names: [String] = []
        for (position, element) in elements.enumerated() {
            guard let name = label(element, "\(path)[\(position)]") else { continue }
            if names.contains(name) {
                findings.refuse("\(path)[\(position)]", "names '\(name)' again; name it once")
            } else {
                names.append(name)
            }
        }
        return names.isEmpty ? nil : names.sorted()
    }

    /// Refuses a class that no group of the size makes.
    private mutating func checkGroup(of requirements: JobRequirements, _ path: String) {
        guard let size = requirements.group, let numericClass = requirements.numericClass,
            ClassOfGroup.ranks(of: numericClass) ?? 1 != size
        else { return }
        let makers = ClassOfGroup.ranks(of: numericClass).map { "a group of \($0)" }
        findings.refuse(
            path + ".group",
            "is \(size), and pictures of the class '\(numericClass)' are made by "
                + "\(makers ?? "a worker alone"); leave one of the two out"
        )
    }

    /// A word that names a pool, a tag or a precision.
    private mutating func label(_ value: SpecificationValue, _ path: String) -> String? {
        guard let text = text(value, path) else { return nil }
        guard let label = JobKey(rawValue: text) else {
            findings.refuse(
                path,
                "must be 1 to 128 letters, digits, '.', '_' or '-', not '\(text.prefix(40))'"
            )
            return nil
        }
        return label.rawValue
    }

    private mutating func numericClass(_ value: SpecificationValue, _ path: String) -> String? {
        guard let text = text(value, path) else { return nil }
        guard (1...200).contains(text.utf8.count) else {
            findings.refuse(path, "must be the 1 to 200 characters that a worker shows")
            return nil
        }
        return text
    }

    private mutating func amount(_ value: SpecificationValue, _ path: String) -> Int64? {
        switch value {
        case .integer(let bytes) where bytes >= 0: return Int64(bytes)
        case .string(let text):
            if let bytes = ByteCount.bytes(text) { return bytes }
        default: break
        }
        findings.refuse(path, "must be an amount like 16GiB, not \(Self.quote(value))")
        return nil
    }

    mutating func limits(_ value: SpecificationValue?) -> JobLimits {
        var result = JobLimits()
        guard let value,
            let entries = mapping(value, known: SpecificationKey.names(under: "limits"), "limits")
        else { return result }
        result.maxWorkers = entries["max_workers"].flatMap {
            integer($0, in: 1...100_000, "limits.max_workers")
        }
        if let written = entries["max_attempts"] {
            let attempts = integer(written, in: 1...100, "limits.max_attempts")
            result.maxAttempts = attempts ?? result.maxAttempts
        }
        result.maxFailures = entries["max_failures"].flatMap {
            integer($0, in: 1...JobSpecification.largestImageCount, "limits.max_failures")
        }
        return result
    }

    mutating func chunk(_ value: SpecificationValue?) -> JobChunk {
        var result = JobChunk()
        guard let value,
            let entries = mapping(value, known: SpecificationKey.names(under: "chunk"), "chunk")
        else { return result }
        if entries["count"] != nil, entries["target_seconds"] != nil {
            findings.refuse("chunk", "has both count and target_seconds; give one of them")
        }
        result.count = entries["count"].flatMap { integer($0, in: 1...1000, "chunk.count") }
        if let written = entries["target_seconds"] {
            let seconds = number(written, in: 0...86400, "chunk.target_seconds")
            result.targetSeconds = seconds ?? result.targetSeconds
        }
        return result
    }

    /// After how many steps images wait for a person: fewer than each of them has.
    ///
    /// Where the job leaves the steps to its model, ``ResolvedJob/draftProblem`` looks at them.
    mutating func draftSteps(
        _ value: SpecificationValue?,
        axes: [WrittenAxis],
        chunk: JobChunk
    ) -> Int? {
        guard let value,
            let entries = mapping(value, known: SpecificationKey.names(under: "draft"), "draft")
        else { return nil }
        let path = "draft.steps"
        guard let written = entries["steps"] else {
            findings.refuse(path, "is missing: after how many steps an image waits")
            return nil
        }
        guard let steps = integer(written, in: 1...999, path) else { return nil }
        if let count = chunk.count, count > 1 {
            findings.refuse(
                "chunk.count",
                "is \(count), and each image of a job with a draft is a task of its own; leave it out"
            )
        }
        let all = axes.first { $0.parameter == .steps }?.values.compactMap { $0 } ?? []
        if let fewest = ResolvedJob.fewestSteps(all), fewest <= steps {
            findings.refuse(path, ResolvedJob.refusal(draft: steps, steps: fewest))
            return nil
        }
        return steps
    }

    mutating func moment(_ value: SpecificationValue, _ path: String) -> Date? {
        if case .string(let text) = value, let date = FarmJSON.date(text) { return date }
        findings.refuse(
            path,
            "must be a moment like 2026-12-01T20:00:00Z, not \(Self.quote(value))"
        )
        return nil
    }

    mutating func webhook(_ value: SpecificationValue?) -> String? {
        guard let value,
            let entries = mapping(value, known: SpecificationKey.names(under: "on_done"), "on_done")
        else { return nil }
        guard let written = entries["webhook"], let text = text(written, "on_done.webhook") else {
            return nil
        }
        let url = URL(string: text)
        guard text.utf8.count <= 2048, let scheme = url?.scheme,
            ["http", "https"].contains(scheme),
            let host = url?.host(), !host.isEmpty
        else {
            findings.refuse(
                "on_done.webhook",
                "must be a URL like https://example.org/done, not \(Self.quote(written))"
            )
            return nil
        }
        return text
    }

    mutating func output(_ value: SpecificationValue?) -> OutputName {
        let known = SpecificationKey.names(under: "output")
        let entries = value.flatMap { mapping($0, known: known, "output") } ?? [:]
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
