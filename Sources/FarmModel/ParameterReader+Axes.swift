/// An axis as it was written: values that were refused leave a gap.
struct WrittenAxis {
    var parameter: Parameter
    /// Nil in the place of each value that was refused.
    var values: [ParameterValue?]
    /// How many values it has, or nil where that is not known.
    var length: Int?

    /// The axis, where each value was accepted.
    var axis: ParameterAxis? {
        let accepted = values.compactMap(\.self)
        guard accepted.count == values.count, !accepted.isEmpty else { return nil }
        return ParameterAxis(parameter: parameter, values: accepted)
    }
}

extension [WrittenAxis] {
    /// How many values each axis has, or nil where that is not known of all.
    var lengths: [Parameter: Int]? {
        var lengths: [Parameter: Int] = [:]
        for axis in self {
            guard let length = axis.length else { return nil }
            lengths[axis.parameter] = length
        }
        return lengths
    }
}

extension ParameterReader {
    /// Reads what stands under `parameters` and `render`, in the order of ``Parameter``.
    mutating func axes(
        _ parameters: SpecificationValue?,
        render: SpecificationValue?
    ) -> [WrittenAxis] {
        var axes: [Parameter: WrittenAxis] = [:]
        if let parameters {
            let known = Parameter.allCases.map(\.rawValue)
            if let entries = mapping(parameters, known: known, "parameters") {
                if entries["prompt"] == nil {
                    findings.refuse("parameters.prompt", "is missing; give a prompt")
                }
                for parameter in Parameter.allCases {
                    guard let written = entries[parameter.rawValue] else { continue }
                    let path = "parameters.\(parameter.rawValue)"
                    axes[parameter] = axis(parameter, written, path)
                }
            }
        } else {
            findings.refuse("parameters", "is missing; give at least a prompt")
        }
        readRender(render, into: &axes)
        return Parameter.allCases.compactMap { axes[$0] }
    }

    private mutating func readRender(
        _ value: SpecificationValue?,
        into axes: inout [Parameter: WrittenAxis]
    ) {
        let parameters = Parameter.allCases.filter(\.isRenderKey)
        guard let value,
            let entries = mapping(value, known: parameters.map(\.rawValue), "render")
        else { return }
        for parameter in parameters {
            guard let written = entries[parameter.rawValue] else { continue }
            let path = "render.\(parameter.rawValue)"
            let value = read(parameter, written, at: path)
            guard axes[parameter] == nil else {
                findings.refuse(path, "is given under parameters too; give it once")
                continue
            }
            axes[parameter] = WrittenAxis(parameter: parameter, values: [value], length: 1)
        }
    }

    private mutating func axis(
        _ parameter: Parameter,
        _ value: SpecificationValue,
        _ path: String
    ) -> WrittenAxis {
        if parameter == .seed { return seeds(value, path) }
        guard let elements = Self.elements(of: value, for: parameter) else {
            let value = read(parameter, value, at: path)
            return WrittenAxis(parameter: parameter, values: [value], length: 1)
        }
        if elements.isEmpty { findings.refuse(path, "has no values; give one or leave it out") }
        let values = elements.enumerated().map { index, element in
            read(parameter, element, at: "\(path)[\(index)]")
        }
        let length = values.isEmpty ? nil : values.count
        return WrittenAxis(parameter: parameter, values: values, length: length)
    }

    /// The values of an axis that is written as a list, or nil for an axis of one.
    private static func elements(
        of value: SpecificationValue,
        for parameter: Parameter
    ) -> [SpecificationValue]? {
        guard case .list(let elements) = value else { return nil }
        guard parameter.isListValued else { return elements }
        // A list of mappings, or of nothing, is one set; a list of lists is an axis of sets.
        let isOneSet = elements.allSatisfy { if case .list = $0 { false } else { true } }
        return isOneSet ? nil : elements
    }

    private mutating func seeds(_ value: SpecificationValue, _ path: String) -> WrittenAxis {
        let isList = if case .list = value { true } else { false }
        let elements = if case .list(let elements) = value { elements } else { [value] }
        let limit = JobSpecification.largestImageCount
        var values: [ParameterValue?] = []
        var isKnown = !elements.isEmpty
        for (index, element) in elements.enumerated() {
            let place = isList ? "\(path)[\(index)]" : path
            guard case .string(let text) = element else {
                values.append(read(.seed, element, at: place))
                continue
            }
            do throws(SeedRangeError) {
                let seeds = try SeedRange.seeds(in: text, limit: limit - values.count)
                values += seeds.map(ParameterValue.seed)
            } catch {
                isKnown = false
                guard error == .noRange else {
                    findings.refuse(place, "makes more than \(limit) seeds; split the job")
                    break
                }
                findings.refuse(
                    place,
                    "must be seeds like 7, 1-8, 1-10:2 or 1,4,9, not \(Self.quote(element))"
                )
            }
        }
        if elements.isEmpty { findings.refuse(path, "has no values; give one or leave it out") }
        let length = isKnown ? values.count : nil
        return WrittenAxis(parameter: .seed, values: values, length: length)
    }
}
