import Yams

extension SpecificationValue {
    /// How many values a document may hold once its aliases are expanded.
    static let largestCount = 1_000_000

    /// How deep lists and mappings may lie in each other once aliases are expanded.
    static let largestDepth = 200

    static let tooManyValues = "the document holds more than \(largestCount) values"

    /// Reads a YAML document; JSON is YAML too.
    ///
    /// Plain scalars follow YAML 1.2's core schema: `yes` is text, `true` a boolean, `1-8` text.
    ///
    /// - Throws: ``JobSpecificationError`` that names the line where the text stops being YAML.
    package init(yaml text: String) throws(JobSpecificationError) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw JobSpecificationError(path: "", message: Self.describe(error))
        } catch {
            throw JobSpecificationError(path: "", message: "this is not a YAML document")
        }
        guard let root else {
            throw JobSpecificationError(path: "", message: "the document is empty")
        }
        var budget = Self.largestCount
        self = try SpecificationValue(root, depth: 0, budget: &budget)
    }

    private init(_ node: Node, depth: Int, budget: inout Int) throws(JobSpecificationError) {
        budget -= 1
        guard budget >= 0 else {
            throw JobSpecificationError(path: "", message: Self.tooManyValues)
        }
        guard depth <= Self.largestDepth else {
            throw JobSpecificationError(path: "", message: "the document is nested too deeply")
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .any || scalar.style == .plain
            let isText = !isPlain || scalar.tag.rawValue == Self.textTag
            self = isText ? .string(scalar.string) : Self.resolve(scalar.string)
        case .sequence(let sequence):
            var values: [SpecificationValue] = []
            for element in sequence {
                values.append(
                    try SpecificationValue(element, depth: depth + 1, budget: &budget)
                )
            }
            self = .list(values)
        case .mapping(let mapping):
            var entries: [String: SpecificationValue] = [:]
            for (key, element) in mapping {
                let value = try SpecificationValue(element, depth: depth + 1, budget: &budget)
                entries[key.scalar?.string ?? ""] = value
            }
            self = .mapping(entries)
        case .alias:
            self = .null
        }
    }

    /// What `!!str` before a scalar stands for.
    private static let textTag = "tag:yaml.org,2002:str"

    private static func resolve(_ text: String) -> SpecificationValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if let value = Int(text) { return .integer(value) }
        let isNumeric = text.utf8.allSatisfy { "0123456789+-.eE".utf8.contains($0) }
        if isNumeric, let value = Double(text) { return .number(value) }
        return .string(text)
    }

    private static func describe(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            "line \(mark.line), column \(mark.column): \(problem)"
        case .duplicatedKeysInMapping(let duplicates, let context):
            "line \(context.mark.line): the key "
                + duplicates.map { "'\($0)'" }.sorted()
                .joined(separator: ", ") + " is given twice"
        default: "this is not a YAML document"
        }
    }
}
