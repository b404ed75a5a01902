/// How the axes of a job make its images: `prompt * (references, seed) * size`.
///
/// `a * b` is the product, with `a` varying slowest; `(a, b)` walks both together, and they must
/// be equally long.
indirect enum Combination: Hashable, Sendable {
    case axis(Parameter)
    case product([Combination])
    case zip([Combination])

    /// Every axis that is named, in the order written.
    var axes: [Parameter] {
        switch self {
        case .axis(let parameter): [parameter]
        case .product(let terms), .zip(let terms): terms.flatMap(\.axes)
        }
    }

    /// The expression as it is written.
    var text: String {
        switch self {
        case .axis(let parameter): parameter.rawValue
        case .product(let terms): terms.map(\.text).joined(separator: " * ")
        case .zip(let terms): "(" + terms.map(\.text).joined(separator: ", ") + ")"
        }
    }

    /// How many points there are, or a refusal.
    ///
    /// - Throws: ``CombinationError`` when zipped axes differ in length, or when there are more
    ///   than `limit` points.
    func count(of lengths: [Parameter: Int], limit: Int) throws(CombinationError) -> Int {
        switch self {
        case .axis(let parameter):
            return lengths[parameter, default: 1]
        case .product(let terms):
            var count = 1
            for term in terms {
                count = try Self.multiply(count, term.count(of: lengths, limit: limit), limit)
            }
            return count
        case .zip(let terms):
            var counts: [Int] = []
            for term in terms {
                counts.append(try term.count(of: lengths, limit: limit))
            }
            guard let first = counts.first, counts.allSatisfy({ $0 == first }) else {
                throw .unequal(Swift.zip(terms.map(\.text), counts).map { "\($0) has \($1)" })
            }
            return first
        }
    }

    private static func multiply(
        _ first: Int,
        _ second: Int,
        _ limit: Int
    ) throws(CombinationError) -> Int {
        let (count, isTooLarge) = first.multipliedReportingOverflow(by: second)
        guard !isTooLarge, count <= limit else { throw .tooMany(limit: limit) }
        return count
    }

    /// The same combination without axes of one value, products in products and zips in zips; nil
    /// where nothing is left.
    ///
    /// Expressions that mean the same order of the same images are equal afterwards.
    func simplified(_ lengths: [Parameter: Int]) -> Combination? {
        switch self {
        case .axis(let parameter):
            return lengths[parameter, default: 1] == 1 ? nil : self
        case .product(let terms):
            let flat = terms.compactMap { $0.simplified(lengths) }.flatMap { term in
                if case .product(let inner) = term { inner } else { [term] }
            }
            return flat.count > 1 ? .product(flat) : flat.first
        case .zip(let terms):
            let flat = terms.compactMap { $0.simplified(lengths) }.flatMap { term in
                if case .zip(let inner) = term { inner } else { [term] }
            }
            return flat.count > 1 ? .zip(flat.sorted { $0.text < $1.text }) : flat.first
        }
    }
}

/// Why a combination has no points.
enum CombinationError: Error, Equatable {
    /// Zipped terms differ in length; each as `seed has 4`.
    case unequal([String])
    case tooMany(limit: Int)
    case tooDeep(limit: Int)
    /// The expression breaks off or goes on at this text.
    case unexpected(String)
    case unknownAxis(String)
    case axisTwice(Parameter)

    var message: String {
        switch self {
        case .unequal(let lengths):
            "axes in one pair of parentheses must be equally long, but "
                + lengths.joined(separator: ", ")
        case .tooMany(let limit): "makes more than \(limit) images; split the job"
        case .tooDeep(let limit):
            "has parentheses more than \(limit) deep in each other; leave out those around one axis"
        case .unexpected(let text): "is not an expression at \(text); write a * (b, c)"
        case .unknownAxis(let name):
            "'\(name)' is not a known axis"
                + (nearest(to: name, among: Parameter.allCases.map(\.rawValue))
                    .map { "; did you mean '\($0)'?" } ?? "")
        case .axisTwice(let parameter): "names '\(parameter.rawValue)' twice; name it once"
        }
    }
}

extension Combination {
    /// Reads an expression.
    init(parsing text: String) throws(CombinationError) {
        var parser = CombinationParser(text)
        self = try parser.product()
        guard parser.isAtEnd else { throw .unexpected(parser.rest) }
        var seen: Set<Parameter> = []
        for axis in axes where !seen.insert(axis).inserted { throw .axisTwice(axis) }
    }
}

private struct CombinationParser {
    /// How deep parentheses may lie in each other: more than there are axes mean nothing.
    private static let mostDepth = 32

    private var tokens: ArraySlice<Substring> = []
    private var depth = 0

    init(_ text: String) {
        var rest = text[...]
        while let first = rest.first {
            let token = rest.prefix { $0 == "_" || $0.isLetter || $0.isNumber }
            if !token.isEmpty {
                tokens.append(token)
                rest = rest.dropFirst(token.count)
            } else {
                if !first.isWhitespace { tokens.append(rest.prefix(1)) }
                rest = rest.dropFirst()
            }
        }
    }

    var isAtEnd: Bool { tokens.isEmpty }

    var rest: String { tokens.first.map { "'\($0)'" } ?? "its end" }

    mutating func product() throws(CombinationError) -> Combination {
        var terms = [try term()]
        while take("*") { terms.append(try term()) }
        return terms.count == 1 ? terms[0] : .product(terms)
    }

    private mutating func term() throws(CombinationError) -> Combination {
        if take("(") {
            depth += 1
            guard depth <= Self.mostDepth else { throw .tooDeep(limit: Self.mostDepth) }
            var terms = [try product()]
            while take(",") { terms.append(try product()) }
            guard take(")") else { throw .unexpected(rest) }
            depth -= 1
            return terms.count == 1 ? terms[0] : .zip(terms)
        }
        guard let name = tokens.first, name.first?.isLetter == true else {
            throw .unexpected(rest)
        }
        tokens.removeFirst()
        guard let parameter = Parameter(rawValue: String(name)) else {
            throw .unknownAxis(String(name))
        }
        return .axis(parameter)
    }

    private mutating func take(_ token: Substring) -> Bool {
        guard tokens.first == token else { return false }
        tokens.removeFirst()
        return true
    }
}
