package import FoundationEssentials

extension SpecificationValue {
    /// Reads a JSON document as RFC 8259 has it; a key that stands twice in a mapping is refused.
    ///
    /// - Throws: ``JobSpecificationError`` that names the line and column where the text stops being
    ///   JSON.
    package init(json data: Data) throws(JobSpecificationError) {
        var reader = JSONReader(data)
        do throws(JSONReader.Failure) {
            self = try reader.document()
        } catch {
            throw JobSpecificationError(path: "", message: reader.message(of: error))
        }
    }
}

/// Reads JSON into values: a pass over the bytes.
private struct JSONReader {
    /// What is wrong at the place reached.
    struct Failure: Error {
        var message: String
        var place: Int
    }

    private let bytes: [UInt8]
    private var place = 0
    private var depth = 0
    private var budget = SpecificationValue.largestCount

    init(_ data: Data) {
        bytes = Array(data)
    }

    /// The whole text as one value.
    mutating func document() throws(Failure) -> SpecificationValue {
        skipSpace()
        guard place < bytes.count else { throw failure("the document is empty") }
        let value = try value()
        skipSpace()
        guard place == bytes.count else { throw failure("goes on behind the end of the document") }
        return value
    }

    /// A failure in words, with its line and column from 1.
    func message(of failure: Failure) -> String {
        let before = bytes.prefix(failure.place)
        let line = before.count { $0 == Self.newline } + 1
        let column = before.count - (before.lastIndex(of: Self.newline).map { $0 + 1 } ?? 0) + 1
        return "line \(line), column \(column): \(failure.message)"
    }

    // MARK: - Values

    private mutating func value() throws(Failure) -> SpecificationValue {
        budget -= 1
        guard budget >= 0 else { throw failure(SpecificationValue.tooManyValues) }
        guard let byte = next else { throw failure("the document breaks off") }
        switch byte {
        case UInt8(ascii: "{"): return .mapping(try mapping())
        case UInt8(ascii: "["): return .list(try list())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), Self.digits: return try number()
        default:
            if take("true") { return .bool(true) }
            if take("false") { return .bool(false) }
            if take("null") { return .null }
            throw failure("is not JSON: a value is wanted")
        }
    }

    private mutating func list() throws(Failure) -> [SpecificationValue] {
        try enter()
        var values: [SpecificationValue] = []
        while try element(values.isEmpty, end: UInt8(ascii: "]")) {
            values.append(try value())
        }
        return values
    }

    private mutating func mapping() throws(Failure) -> [String: SpecificationValue] {
        try enter()
        var entries: [String: SpecificationValue] = [:]
        while try element(entries.isEmpty, end: UInt8(ascii: "}")) {
            guard next == UInt8(ascii: "\"") else { throw failure("is not JSON: a key is wanted") }
            let start = place
            let key = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw failure("is not JSON: ':' is wanted") }
            place += 1
            skipSpace()
            guard entries.updateValue(try value(), forKey: key) == nil else {
                throw Failure(message: "the key '\(key)' is given twice", place: start)
            }
        }
        return entries
    }

    /// Passes the opening of a list or mapping.
    private mutating func enter() throws(Failure) {
        depth += 1
        guard depth <= SpecificationValue.largestDepth else {
            throw failure("is nested too deeply")
        }
        place += 1
    }

    /// Passes to the next element, or past the end.
    private mutating func element(_ isFirst: Bool, end: UInt8) throws(Failure) -> Bool {
        skipSpace()
        if next == end {
            place += 1
            depth -= 1
            return false
        }
        if !isFirst {
            guard next == UInt8(ascii: ",") else {
                throw failure("is not JSON: ',' or '\(Character(Unicode.Scalar(end)))' is wanted")
            }
            place += 1
            skipSpace()
        }
        return true
    }

    // MARK: - Scalars

    private mutating func number() throws(Failure) -> SpecificationValue {
        let start = place
        if next == UInt8(ascii: "-") { place += 1 }
        let whole = takeDigits()
        guard whole == 1 || whole > 1 && bytes[place - whole] != UInt8(ascii: "0") else {
            throw Failure(message: "is not a number as JSON writes it", place: start)
        }
        var isWhole = true
        if next == UInt8(ascii: ".") {
            isWhole = false
            place += 1
            guard takeDigits() > 0 else { throw failure("a digit is wanted") }
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isWhole = false
            place += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { place += 1 }
            guard takeDigits() > 0 else { throw failure("a digit is wanted") }
        }
        let text = String(decoding: bytes[start..<place], as: UTF8.self)
        if isWhole, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            throw Failure(message: "the number is too large", place: start)
        }
        return .number(value)
    }

    private mutating func string() throws(Failure) -> String {
        let start = place
        place += 1
        var text = ""
        var piece = place
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                try append(piece..<place, to: &text)
                place += 1
                return text
            case UInt8(ascii: "\\"):
                try append(piece..<place, to: &text)
                text.unicodeScalars.append(try escape())
                piece = place
            case 0..<0x20: throw failure("a control character has to be escaped")
            default: place += 1
            }
        }
        throw Failure(message: "the text that begins here has no end", place: start)
    }

    private func append(_ range: Range<Int>, to text: inout String) throws(Failure) {
        guard !range.isEmpty else { return }
        guard let piece = String(validating: bytes[range], as: UTF8.self) else {
            throw Failure(message: "is not text in UTF-8", place: range.lowerBound)
        }
        if text.isEmpty { text = piece } else { text += piece }
    }

    /// Reads `\n`, `\u00e9`, or a pair of surrogates.
    private mutating func escape() throws(Failure) -> Unicode.Scalar {
        let start = place
        place += 1
        guard let byte = next else { throw failure("the document breaks off") }
        place += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xd800..<0xdc00).contains(code), take("\\u") {
                let low = try hexadecimal()
                guard (0xdc00..<0xe000).contains(low) else { break }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { break }
            return scalar
        default: break
        }
        throw Failure(message: "is not an escape as JSON writes it", place: start)
    }

    private mutating func hexadecimal() throws(Failure) -> UInt32 {
        let digits = bytes[place...].prefix(4)
        guard digits.count == 4, digits.allSatisfy({ $0 != UInt8(ascii: "+") }),
            let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw failure("four hexadecimal digits are wanted") }
        place += 4
        return code
    }

    // MARK: - Bytes

    private static let newline = UInt8(ascii: "\n")
    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private func failure(_ message: String) -> Failure { Failure(message: message, place: place) }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
            place += 1
        }
    }

    /// Passes digits and returns how many.
    private mutating func takeDigits() -> Int {
        let start = place
        while let byte = next, Self.digits.contains(byte) { place += 1 }
        return place - start
    }

    private mutating func take(_ word: StaticString) -> Bool {
        let isThere = word.withUTF8Buffer { bytes[place...].starts(with: $0) }
        if isThere { place += word.utf8CodeUnitCount }
        return isThere
    }
}
