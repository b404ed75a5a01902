/// Finds whole tokens in a text, the leftmost and longest first.
struct SpecialTokenMatcher: Sendable {
    /// A token that is found as it stands, with whether it swallows white space on its sides.
    struct Token: Sendable {
        var text: [UInt8]
        var id: Int
        var stripsLeft = false
        var stripsRight = false
    }

    /// A part of a text.
    enum Part: Equatable {
        case text(ArraySlice<UInt8>)
        case token(Int)
    }

    /// Tokens by their first byte, longest first.
    private let tokens: [UInt8: [Token]]

    init(_ tokens: [Token]) {
        let byFirst = Dictionary(grouping: tokens.filter { !$0.text.isEmpty }) { $0.text[0] }
        self.tokens = byFirst.mapValues { $0.sorted { $0.text.count > $1.text.count } }
    }

    /// Splits UTF-8 bytes at the tokens; parts of text are not empty.
    func parts(of bytes: ArraySlice<UInt8>) -> [Part] {
        var parts: [Part] = []
        // Text from `pending` on is not in `parts` yet; the search stands at `index`.
        var pending = bytes.startIndex
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let candidates = tokens[bytes[index]] ?? []
            guard let token = candidates.first(where: { bytes[index...].starts(with: $0.text) })
            else {
                index += 1
                continue
            }
            var start = index
            index += token.text.count
            if token.stripsLeft {
                start = max(pending, Self.trimmedEnd(of: bytes[..<start]))
            }
            if start > pending {
                parts.append(.text(bytes[pending..<start]))
            }
            parts.append(.token(token.id))
            pending = token.stripsRight ? Self.trimmedStart(of: bytes[index...]) : index
            index = max(index, pending)
        }
        if pending < bytes.endIndex {
            parts.append(.text(bytes[pending...]))
        }
        return parts
    }

    /// Returns the end of `bytes` without the white space that ends it.
    static func trimmedEnd(of bytes: ArraySlice<UInt8>) -> Int {
        let text = String(decoding: bytes, as: UTF8.self).unicodeScalars
        let space = text.reversed().prefix { $0.properties.isWhitespace }
        return bytes.endIndex - space.reduce(0) { $0 + UTF8.width($1) }
    }

    private static func trimmedStart(of bytes: ArraySlice<UInt8>) -> Int {
        let text = String(decoding: bytes, as: UTF8.self).unicodeScalars
        let space = text.prefix { $0.properties.isWhitespace }
        return bytes.startIndex + space.reduce(0) { $0 + UTF8.width($1) }
    }
}
