import FoundationEssentials

/// An element of a small XML document, as S3 answers with: names, text and elements.
///
/// Strict and small: no document types, no sections of raw text, at most 16 levels; attributes and
/// comments are passed over, prefixes of names too. Anything else is no document.
struct XMLElement: Sendable {
    let name: String
    private(set) var text = ""
    private(set) var children: [XMLElement] = []

    /// The text of the first element of this name inside this one.
    subscript(_ name: String) -> String? {
        children.first { $0.name == name }?.text
    }

    /// The elements of this name inside this one.
    func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// Reads a document, or returns nil where it is none.
    init?(document: Data) {
        var scanner = XMLScanner(bytes: Array(document))
        guard let element = scanner.document() else { return nil }
        self = element
    }

    fileprivate init(name: String) { self.name = name }

    fileprivate mutating func append(_ element: XMLElement) { children.append(element) }

    fileprivate mutating func close(text: [UInt8]) {
        self.text = String(decoding: text, as: UTF8.self)
    }
}

/// Goes through the bytes of a document once.
private struct XMLScanner {
    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// The root, if nothing but comments surrounds it.
    mutating func document() -> XMLElement? {
        if starts(with: "\u{feff}") { position += 3 }
        guard skipBetween(), let root = element(depth: 0), skipBetween() else { return nil }
        return position == bytes.count ? root : nil
    }

    private mutating func element(depth: Int) -> XMLElement? {
        guard depth < 16, take("<"), let name = name(), let isEmpty = endOfTag() else { return nil }
        var element = XMLElement(name: name)
        guard !isEmpty else { return element }
        var text: [UInt8] = []
        while position < bytes.count {
            if starts(with: "</") {
                position += 2
                guard self.name() == name else { return nil }
                skipSpace()
                guard take(">") else { return nil }
                element.close(text: text)
                return element
            } else if starts(with: "<!--") {
                guard skip(past: "-->") else { return nil }
            } else if starts(with: "<") {
                guard let child = self.element(depth: depth + 1) else { return nil }
                element.append(child)
            } else if starts(with: "&") {
                guard let character = reference() else { return nil }
                text += Array(String(character).utf8)
            } else {
                text.append(bytes[position])
                position += 1
            }
        }
        return nil
    }

    /// Passes over attributes; whether the tag closes itself, or nil where it does not end.
    private mutating func endOfTag() -> Bool? {
        var quote: UInt8?
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: "<") {
                return nil
            } else if byte == UInt8(ascii: ">") {
                return bytes[position - 2] == UInt8(ascii: "/")
            }
        }
        return nil
    }

    private mutating func name() -> String? {
        let start = position
        while position < bytes.count, Self.isOfName(bytes[position]) { position += 1 }
        let name = String(decoding: bytes[start..<position], as: UTF8.self)
        let local = name.split(separator: ":", omittingEmptySubsequences: false).last.map(
            String.init
        )
        return local.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "-"),
            UInt8(ascii: "_"), UInt8(ascii: "."), 0x80...:
            true
        default: false
        }
    }

    private mutating func reference() -> Character? {
        guard let end = bytes[position...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
            return nil
        }
        let name = String(decoding: bytes[(position + 1)..<end], as: UTF8.self)
        position = end + 1
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default: break
        }
        guard name.hasPrefix("#") else { return nil }
        let code =
            name.hasPrefix("#x")
            ? UInt32(name.dropFirst(2), radix: 16) : UInt32(name.dropFirst())
        return code.flatMap(Unicode.Scalar.init).map(Character.init)
    }

    /// Passes over what may stand beside the root; false where a comment does not end.
    private mutating func skipBetween() -> Bool {
        while true {
            skipSpace()
            if starts(with: "<?") {
                guard skip(past: "?>") else { return false }
            } else if starts(with: "<!--") {
                guard skip(past: "-->") else { return false }
            } else {
                return true
            }
        }
    }

    private mutating func skipSpace() {
        while position < bytes.count, bytes[position] <= 0x20 { position += 1 }
    }

    private func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    private mutating func take(_ text: String) -> Bool {
        guard starts(with: text) else { return false }
        position += text.utf8.count
        return true
    }

    private mutating func skip(past text: String) -> Bool {
        while position < bytes.count {
            if take(text) { return true }
            position += 1
        }
        return false
    }
}
