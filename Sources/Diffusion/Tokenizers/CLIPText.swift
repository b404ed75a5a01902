@_spi(_Unicode) import Swift

/// CLIP's text rules: what is dropped, folded and split before byte pairs are merged.
enum CLIPText {
    /// The version of Unicode whose characters the reference's Python (3.11) knows; it drops
    /// later ones as unassigned.
    private static let referenceVersion: Unicode.Version = (major: 14, minor: 0)

    /// The blocks that are set apart as words of their own.
    private static let ideographs: [ClosedRange<UInt32>] = [
        0x4e00...0x9fff, 0x3400...0x4dbf, 0x20000...0x2a6df, 0x2a700...0x2b73f,
        0x2b740...0x2b81f, 0x2b820...0x2ceaf, 0xf900...0xfaff, 0x2f800...0x2fa1f,
    ]

    /// The patterns that go before letters, digits and other runs, in their order.
    private static let phrases = [
        "<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d",
    ].map { Array($0.unicodeScalars) }

    /// Returns the words of a text, normalized and in lower case.
    static func words(of text: String) -> [String] {
        // Twice: one pass leaves the marks of two neighbouring U+0F73, U+0F75 or U+0F81 unsorted.
        let once = String(String.UnicodeScalarView(cleaned(text)._nfc))
        return split(lowercased(Array(once._nfc)))
    }

    /// Returns the text without control characters, with plain spaces, and ideographs set apart.
    private static func cleaned(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isWhitespace(scalar) {
                result.append(" ")
            } else if isDropped(scalar) {
                continue
            } else if ideographs.contains(where: { $0.contains(scalar.value) }) {
                result.append(contentsOf: [" ", scalar, " "])
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    private static func isWhitespace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case " ", "\t", "\n", "\r": true
        default: scalar.properties.generalCategory == .spaceSeparator
        }
    }

    private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value == 0xfffd {
            return true
        }
        switch scalar.properties.generalCategory {
        case .control, .format, .privateUse, .surrogate, .unassigned:
            return true
        default:
            return scalar.properties.age.map { $0 > referenceVersion } ?? true
        }
    }

    /// Returns the full lower-case mapping, with the final sigma of Greek words.
    private static func lowercased(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        text.indices.flatMap { index -> [Unicode.Scalar] in
            let scalar = text[index]
            guard scalar == "Σ" else {
                return Array(scalar.properties.lowercaseMapping.unicodeScalars)
            }
            let before = text[..<index].last { !$0.properties.isCaseIgnorable }
            let after = text[(index + 1)...].first { !$0.properties.isCaseIgnorable }
            let isFinal =
                before?.properties.isCased ?? false && !(after?.properties.isCased ?? false)
            return [isFinal ? "ς" : "σ"]
        }
    }

    /// Returns the matches of CLIP's pattern; what it skips parts words.
    private static func split(_ text: [Unicode.Scalar]) -> [String] {
        var words: [String] = []
        var start = 0
        while start < text.count {
            let rest = text[start...]
            guard !isSeparator(text[start]) else {
                start += 1
                continue
            }
            let length: Int
            if let phrase = phrases.first(where: { begins(rest, with: $0) }) {
                length = phrase.count
            } else if isLetter(text[start]) {
                length = rest.prefix(while: isLetter).count
            } else if isNumber(text[start]) {
                length = 1
            } else {
                length = rest.prefix { !isLetter($0) && !isNumber($0) && !isSeparator($0) }.count
            }
            var word = String.UnicodeScalarView()
            word.append(contentsOf: rest.prefix(length))
            words.append(String(word))
            start += length
        }
        return words
    }

    /// Returns whether a phrase begins the text; long s counts as s, as case folding has it.
    private static func begins(
        _ text: ArraySlice<Unicode.Scalar>,
        with phrase: [Unicode.Scalar]
    )
        -> Bool
    {
        text.starts(with: phrase) { $0 == $1 || ($0 == "ſ" && $1 == "s") }
    }

    /// Returns whether the pattern matches a scalar nowhere: white space, and the iota subscript,
    /// which is no letter but folds to one.
    private static func isSeparator(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || scalar.value == 0x345
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            true
        default:
            false
        }
    }

    private static func isNumber(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: true
        default: false
        }
    }
}
