/// A strict scanner for the few JSON forms that a safetensors header uses: objects, strings and
/// arrays of counts.
///
/// A general decoder would build a tree of a header that may have 100 MB, and would keep the last
/// of two equal keys in silence.
struct HeaderScanner {
    /// What is wrong, and at which byte of the header.
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    /// Scans those bytes, which must outlive the scanner.
    init(bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// A problem at the current byte.
    func problem(_ text: String) -> Problem {
        Problem(description: "\(text) (byte \(position) of the header)")
    }

    /// Reads an object, calling `member` with each key when its value is next.
    mutating func object(
        _ member: (inout HeaderScanner, String) throws(Problem) -> Void
    ) throws(Problem) {
        try expect("{")
        if accept("}") { return }
        repeat {
            let key = try string()
            try expect(":")
            try member(&self, key)
        } while accept(",")
        try expect("}")
    }

    /// Reads an array of integers that are not negative.
    mutating func integers() throws(Problem) -> [Int] {
        try expect("[")
        if accept("]") { return [] }
        var values: [Int] = []
        repeat { values.append(try integer()) } while accept(",")
        try expect("]")
        return values
    }

    /// Reads a string, escapes resolved.
    mutating func string() throws(Problem) -> String {
        try expect("\"")
        let start = position
        var escaped: [UInt8]?
        while let byte = next() {
            if byte == UInt8(ascii: "\"") {
                let text =
                    escaped.map { String(validating: $0, as: UTF8.self) }
                    ?? String(validating: bytes[start..<(position - 1)], as: UTF8.self)
                guard let text else { throw problem("a string is not UTF-8") }
                return text
            }
            guard byte >= 0x20 else { throw problem("a control character stands in a string") }
            if byte == UInt8(ascii: "\\") {
                var prefix = escaped ?? Array(bytes[start..<(position - 1)])
                prefix.append(contentsOf: String(try escape()).utf8)
                escaped = prefix
            } else {
                escaped?.append(byte)
            }
        }
        throw problem("a string does not end")
    }

    /// Reads the end of the header: nothing but spaces.
    mutating func end() throws(Problem) {
        skipSpaces()
        guard position == bytes.count else { throw problem("something follows the header's end") }
    }

    private mutating func integer() throws(Problem) -> Int {
        skipSpaces()
        let start = position
        var value = 0
        while position < bytes.count, case let digit = bytes[position], 0x30...0x39 ~= digit {
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow) = product.addingReportingOverflow(Int(digit - 0x30))
            guard !tooLarge, !overflow else { throw problem("a number is too large") }
            value = sum
            position += 1
        }
        guard position > start else { throw problem("a count is expected") }
        guard position == start + 1 || bytes[start] != 0x30 else {
            throw problem("a number starts with 0")
        }
        return value
    }

    private mutating func escape() throws(Problem) -> Unicode.Scalar {
        switch next() {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw problem("an escape is unknown")
        }
    }

    private mutating func unicodeEscape() throws(Problem) -> Unicode.Scalar {
        var code = try fourDigits()
        if 0xD800..<0xDC00 ~= code, next() == UInt8(ascii: "\\"), next() == UInt8(ascii: "u") {
            let low = try fourDigits()
            guard 0xDC00..<0xE000 ~= low else { throw problem("half a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw problem("half a surrogate pair") }
        return scalar
    }

    private mutating func fourDigits() throws(Problem) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next(),
                let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80
            else { throw problem("an escape is unknown") }
            code = code << 4 + UInt32(digit)
        }
        return code
    }

    private mutating func next() -> UInt8? {
        guard position < bytes.count else { return nil }
        position += 1
        return bytes[position - 1]
    }

    private mutating func skipSpaces() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
            position += 1
        }
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        skipSpaces()
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else {
            return false
        }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(Problem) {
        guard accept(character) else { throw problem("'\(character)' is expected") }
    }
}
