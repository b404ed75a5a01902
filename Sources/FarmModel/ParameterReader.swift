/// Reads the values of parameters, and notes every one that is wrong.
struct ParameterReader {
    /// The largest side of a picture that is accepted, in pixels.
    private static let largestSide = 16384
    /// The most pixels of a picture that are accepted.
    private static let mostPixels = 1 << 26

    var findings: SpecificationFindings

    /// The value that `value` is for `parameter`, or nil after noting why it is none.
    mutating func read(
        _ parameter: Parameter,
        _ value: SpecificationValue,
        at path: String
    ) -> ParameterValue? {
        switch parameter {
        case .prompt: text(value, path).map(ParameterValue.prompt)
        case .negativePrompt: text(value, path).map(ParameterValue.negativePrompt)
        case .references: references(value, path).map(ParameterValue.references)
        case .seed:
            integer(value, in: 0...Int.max, path).map { .seed(Int64($0)) }
        case .size: size(value, path)
        case .guidance: number(value, in: 0...1000, path).map(ParameterValue.guidance)
        case .firstStepGuidance:
            number(value, in: 0...1000, path).map(ParameterValue.firstStepGuidance)
        case .steps: integer(value, in: 1...1000, path).map(ParameterValue.steps)
        case .trueGuidance: trueGuidance(value, path)
        case .prepare: preparation(value, path)
        case .referenceResolution: referenceResolution(value, path)
        case .posterior: word(PosteriorChoice.self, value, path).map(ParameterValue.posterior)
        case .noise: word(NoisePrecision.self, value, path).map(ParameterValue.noise)
        case .maxTextTokens: integer(value, in: 1...512, path).map(ParameterValue.maxTextTokens)
        case .stepCache: number(value, in: 0...1, path).map(ParameterValue.stepCache)
        case .loras: loras(value, path).map(ParameterValue.loras)
        }
    }

    // MARK: - Values of one kind

    mutating func text(_ value: SpecificationValue, _ path: String) -> String? {
        guard case .string(let text) = value else {
            findings.refuse(path, "must be text, not \(value.kind)")
            return nil
        }
        guard !text.unicodeScalars.contains("\0") else {
            findings.refuse(path, "holds a NUL character; remove it")
            return nil
        }
        return text
    }

    mutating func integer(
        _ value: SpecificationValue,
        in range: ClosedRange<Int>,
        _ path: String
    ) -> Int? {
        let number: Int? =
            switch value {
            case .integer(let number): number
            case .number(let number): Int(exactly: number)
            default: nil
            }
        guard let number, range.contains(number) else {
            let bounds =
                range.upperBound == .max
                ? "of at least \(range.lowerBound)"
                : "from \(range.lowerBound) to \(range.upperBound)"
            findings.refuse(path, "must be a whole number \(bounds), not \(Self.quote(value))")
            return nil
        }
        return number
    }

    mutating func number(
        _ value: SpecificationValue,
        in range: ClosedRange<Double>,
        _ path: String
    ) -> Double? {
        let number: Double? =
            switch value {
            case .integer(let number): Double(number)
            case .number(let number): number
            default: nil
            }
        guard let number, range.contains(number) else {
            let bounds = "from \(Int(range.lowerBound)) to \(Int(range.upperBound))"
            findings.refuse(path, "must be a number \(bounds), not \(Self.quote(value))")
            return nil
        }
        return number
    }

    mutating func word<Word: RawRepresentable<String> & CaseIterable>(
        _ words: Word.Type,
        _ value: SpecificationValue,
        _ path: String
    ) -> Word? {
        if case .string(let text) = value, let word = Word(rawValue: text) { return word }
        let known = words.allCases.map(\.rawValue).joined(separator: ", ")
        findings.refuse(path, "must be one of \(known), not \(Self.quote(value))")
        return nil
    }

    /// The entries of a mapping whose keys are all in `known`; each other key is noted.
    mutating func mapping(
        _ value: SpecificationValue,
        known: [String],
        _ path: String
    ) -> [String: SpecificationValue]? {
        guard case .mapping(let entries) = value else {
            findings.refuse(path, "must be a mapping, not \(value.kind)")
            return nil
        }
        for key in entries.keys.sorted() where !known.contains(key) {
            let remedy = nearest(to: key, among: known).map { "; did you mean '\($0)'?" } ?? ""
            findings.refuse(Self.join(path, key), "is not a known key\(remedy)")
        }
        return entries
    }

    static func join(_ path: String, _ key: String) -> String {
        path.isEmpty ? key : "\(path).\(key)"
    }

    /// A value as a message shows it, shortened.
    static func quote(_ value: SpecificationValue) -> String {
        switch value {
        case .null, .list, .mapping: return value.kind
        case .bool, .integer, .number: return value.canonicalJSON
        case .string(let text):
            return text.count > 40 ? "'\(text.prefix(40))…'" : "'\(text)'"
        }
    }

    // MARK: - Parameters with a shape of their own

    private mutating func size(_ value: SpecificationValue, _ path: String) -> ParameterValue? {
        guard case .string(let text) = value else {
            findings.refuse(path, "must be a size like 1024x768, not \(Self.quote(value))")
            return nil
        }
        let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard sides.count == 2, let width = sides[0], let height = sides[1] else {
            findings.refuse(path, "must be a size like 1024x768, not '\(text)'")
            return nil
        }
        for side in [width, height]
        where side % 16 != 0 || !(16...Self.largestSide).contains(side) {
            let below = min(max(side / 16 * 16, 16), Self.largestSide)
            findings.refuse(
                path,
                "\(side) is not a multiple of 16 from 16 to \(Self.largestSide); \(below) is"
            )
            return nil
        }
        guard width * height <= Self.mostPixels else {
            findings.refuse(path, "has more than \(Self.mostPixels) pixels; give less")
            return nil
        }
        return .size(width: width, height: height)
    }

    private mutating func referenceResolution(
        _ value: SpecificationValue,
        _ path: String
    ) -> ParameterValue? {
        guard let side = integer(value, in: 16...4096, path) else { return nil }
        guard side % 16 == 0 else {
            findings.refuse(path, "\(side) is not a multiple of 16; \(side / 16 * 16) is")
            return nil
        }
        return .referenceResolution(side)
    }

    private mutating func preparation(
        _ value: SpecificationValue,
        _ path: String
    ) -> ParameterValue? {
        guard value != .string("full") else {
            findings.refuse(path, "'full' is not supported yet by this release; use resize")
            return nil
        }
        return word(Preparation.self, value, path).map(ParameterValue.prepare)
    }

    private mutating func trueGuidance(
        _ value: SpecificationValue,
        _ path: String
    ) -> ParameterValue? {
        let known = SpecificationKey.names(under: "render.true_cfg")
        guard let entries = mapping(value, known: known, path) else { return nil }
        var result = TrueGuidance.off
        if let scale = entries["scale"] {
            result.scale = number(scale, in: 0...1000, path + ".scale") ?? result.scale
        }
        if let start = entries["start"] {
            result.start = integer(start, in: 0...1000, path + ".start") ?? result.start
        }
        if let end = entries["end"] {
            result.end = integer(end, in: 0...1000, path + ".end") ?? result.end
        }
        if let guidance = entries["guidance"] {
            result.guidance = number(guidance, in: 0...1000, path + ".guidance") ?? result.guidance
        }
        return .trueGuidance(result)
    }
}
