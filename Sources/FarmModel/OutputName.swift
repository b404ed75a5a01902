/// The template of the output files' names, as `{job}/{index}-{prompt.index}-s{seed}.png`.
package struct OutputName: Hashable, Sendable {
    /// The template used where a job gives none.
    package static let standard = "{job}/{index}-s{seed}.png"

    package var template: String
    private var parts: [Part]

    private enum Part: Hashable, Sendable {
        case literal(String)
        case job
        case index
        case width
        case height
        case value(Parameter)
        case valueIndex(Parameter)
    }

    /// Reads a template.
    ///
    /// - Throws: ``OutputNameError`` when a placeholder is unknown or a name could leave its
    ///   folder.
    init(parsing template: String) throws(OutputNameError) {
        self.template = template
        parts = []
        var rest = template[...]
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}") else { throw .unclosed }
            if open > rest.startIndex { parts.append(.literal(String(rest[..<open]))) }
            parts.append(try Self.part(String(rest[rest.index(after: open)..<close])))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.literal(String(rest))) }
        for case .literal(let text) in parts where text.contains("}") { throw .unclosed }
        guard template.hasSuffix(".png") else { throw .notPNG }
        guard Self.isSafe(name(job: "job", index: 0) { _ in ("0", 0) }) else { throw .unsafe }
    }

    /// The standard names, beside a template that was refused.
    init(refused template: String) {
        self.template = template
        parts = [.index, .literal(".png")]
    }

    private static func part(_ name: String) throws(OutputNameError) -> Part {
        switch name {
        case "job": return .job
        case "index": return .index
        case "width": return .width
        case "height": return .height
        default: break
        }
        if name.hasSuffix(".index"), let parameter = Parameter(rawValue: String(name.dropLast(6))) {
            return .valueIndex(parameter)
        }
        guard let parameter = Parameter(rawValue: name), !parameter.isLong else {
            throw .unknown(name)
        }
        return .value(parameter)
    }

    /// The name of one image.
    ///
    /// - Parameters:
    ///   - job: What stands for `{job}`.
    ///   - index: The image's index in its job.
    ///   - value: The text of a parameter's value and the value's index in its axis.
    /// - Returns: A relative path.
    func name(job: String, index: Int, value: (Parameter) -> (text: String, index: Int)) -> String {
        var name = ""
        for part in parts {
            switch part {
            case .literal(let text): name += text
            case .job: name += job
            case .index: name += String(index)
            case .width: name += value(.size).text.split(separator: "x").first ?? ""
            case .height: name += value(.size).text.split(separator: "x").last ?? ""
            case .value(let parameter): name += value(parameter).text
            case .valueIndex(let parameter): name += String(value(parameter).index)
            }
        }
        return name
    }

    /// Whether `name` is a relative path that stays in its folder on every file system in use.
    package static func isSafe(_ name: String) -> Bool {
        let slash = UInt8(ascii: "/")
        let components = name.utf8.split(separator: slash, omittingEmptySubsequences: false)
        return components.allSatisfy { component in
            !component.isEmpty && component.count <= 200
                && !(component.count <= 2 && component.allSatisfy { $0 == UInt8(ascii: ".") })
                && component.allSatisfy {
                    $0 >= 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "\\")
                }
        }
    }
}

/// Why a template of output names is refused.
enum OutputNameError: Error, Equatable {
    case unclosed
    case unknown(String)
    case notPNG
    case unsafe

    var message: String {
        switch self {
        case .unclosed: return "has a '{' or '}' without its fellow"
        case .unknown(let name):
            let known =
                ["job", "index", "width", "height"]
                + Parameter.allCases.filter { !$0.isLong }.map(\.rawValue)
                + Parameter.allCases.map { $0.rawValue + ".index" }
            let remedy = nearest(to: name, among: known).map { "; did you mean '{\($0)}'?" } ?? ""
            return "'{\(name)}' is not a known placeholder\(remedy)"
        case .notPNG: return "must end in .png, the only format of this release"
        case .unsafe: return "must be a relative path without '..', '\\' or empty parts"
        }
    }
}

extension Parameter {
    /// Whether the parameter's values are too long for a file name.
    fileprivate var isLong: Bool {
        switch self {
        case .prompt, .references, .negativePrompt, .trueGuidance, .loras: true
        default: false
        }
    }
}
