/// A JSON text as it is written, without spaces or ends of lines.
struct JSONText {
    private(set) var text = ""
    /// Whether the next thing follows another one of its array or object.
    private var isFollowing = false

    // MARK: - Structure

    /// Writes an object, whose members `body` writes.
    mutating func object(_ body: (inout JSONText) -> Void) {
        enclosed("{", "}", body)
    }

    /// Writes an array, whose elements `body` writes one by one.
    mutating func array<Element>(
        _ elements: some Sequence<Element>,
        _ body: (inout JSONText, Element) -> Void
    ) {
        enclosed("[", "]") { text in
            for element in elements { body(&text, element) }
        }
    }

    /// Writes the key of a member, whose value has to follow.
    mutating func key(_ name: String) {
        string(name)
        text += ":"
        isFollowing = false
    }

    /// Writes a member whose value is a text.
    mutating func member(_ key: String, _ value: String) {
        self.key(key)
        string(value)
    }

    private mutating func enclosed(
        _ begin: String,
        _ end: String,
        _ body: (inout JSONText) -> Void
    ) {
        separate()
        text += begin
        isFollowing = false
        body(&self)
        text += end
        isFollowing = true
    }

    private mutating func separate() {
        if isFollowing { text += "," }
        isFollowing = true
    }

    // MARK: - Values

    /// Writes what is JSON already, as a number.
    mutating func raw(_ json: String) {
        separate()
        text += json
    }

    /// Writes a text; what would end a line, or order a terminal about, is escaped.
    mutating func string(_ value: String) {
        separate()
        text += "\""
        if value.utf8.allSatisfy({ (0x20...0x7e).contains($0) && $0 != 0x22 && $0 != 0x5c }) {
            text += value
        } else {
            for scalar in value.unicodeScalars { append(scalar) }
        }
        text += "\""
    }

    private mutating func append(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "\"": text += "\\\""
        case "\\": text += "\\\\"
        case "\n": text += "\\n"
        case "\r": text += "\\r"
        case "\t": text += "\\t"
        // Other controls, and what some readers take for the end of a line.
        case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}"..."\u{2029}":
            let digits = String(scalar.value, radix: 16)
            text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: text.unicodeScalars.append(scalar)
        }
    }
}
