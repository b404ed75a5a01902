private let quote = UInt8(ascii: "\"")
private let backslash = UInt8(ascii: "\\")
private let comma = UInt8(ascii: ",")

/// An array is one parameter of an array type (`= ANY(\(ids))`, `unnest(\(names))`), never a list of
/// parameters: `IN (\(ids))` is an error of the server.
extension Array: PostgresEncodable where Element: PostgresEncodable {
    package var postgresText: String {
        var text: [UInt8] = [UInt8(ascii: "{")]
        text.reserveCapacity(2 + 16 * count)
        for element in self {
            if text.count > 1 { text.append(comma) }
            text.append(quote)
            for byte in element.postgresText.utf8 {
                if byte == quote || byte == backslash { text.append(backslash) }
                text.append(byte)
            }
            text.append(quote)
        }
        text.append(UInt8(ascii: "}"))
        return String(decoding: text, as: UTF8.self)
    }
}

/// One-dimensional arrays without NULL elements, the only ones that the farm keeps.
extension Array: PostgresDecodable where Element: PostgresDecodable {
    package init?(postgresText: String) {
        self.init(postgresBytes: Swift.Array(postgresText.utf8).span)
    }

    package init?(postgresBytes bytes: Span<UInt8>) {
        guard bytes.count >= 2, bytes[0] == UInt8(ascii: "{"),
            bytes[bytes.count - 1] == UInt8(ascii: "}")
        else { return nil }
        self = []
        guard bytes.count > 2 else { return }
        var text: [UInt8] = []
        var isQuoted = false
        var index = 1
        while index < bytes.count - 1 {
            switch bytes[index] {
            case backslash:
                index += 1
                text.append(bytes[index])
            case quote: isQuoted.toggle()
            case comma where !isQuoted:
                guard let element = Element(postgresBytes: text.span) else { return nil }
                append(element)
                text.removeAll(keepingCapacity: true)
            case let byte: text.append(byte)
            }
            index += 1
        }
        guard let last = Element(postgresBytes: text.span) else { return nil }
        append(last)
    }
}
