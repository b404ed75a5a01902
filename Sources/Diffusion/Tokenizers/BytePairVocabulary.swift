import FoundationEssentials

/// The merges of a byte-pair vocabulary, and the ids of what they make.
struct BytePairVocabulary: Sendable {
    /// A pair of neighbouring symbols.
    private struct Pair: Hashable {
        var left: Int32
        var right: Int32
    }

    /// What a pair becomes, and how early.
    private struct Merge {
        var rank: Int
        var symbol: Int32
    }

    /// The mark of a word's last symbol.
    private static let wordEnd = "</w>"
    /// The reference reads no more merges than CLIP's own file has.
    private static let mergeLimit = 49_152 - 256 - 2

    private var merges: [Pair: Merge] = [:]
    /// The id of each symbol: first the 256 bytes, then the 256 bytes that end a word, then merges.
    private var ids: [Int] = []

    /// Reads `merges.txt`, a pair of symbols a line behind one line of version.
    ///
    /// - Parameters:
    ///   - url: The file.
    ///   - vocabulary: The ids by symbol.
    ///   - unknownID: The id of symbols that the vocabulary lacks.
    /// - Throws: `TokenizerError` when the file is missing or has a line that is no pair.
    init(
        merges url: URL,
        vocabulary: [String: Int],
        unknownID: Int
    ) throws(TokenizerError) {
        let bytes = Array(try TokenizerFiles.contents(of: url))
        guard !bytes.isEmpty else { throw .invalidFile(path: url.path, reason: "is empty") }
        var symbols: [ArraySlice<UInt8>: Int32] = [:]
        symbols.reserveCapacity(vocabulary.count)
        func symbol(_ text: ArraySlice<UInt8>, _ ids: inout [Int]) -> Int32 {
            if let symbol = symbols[text] {
                return symbol
            }
            let symbol = Int32(ids.count)
            symbols[text] = symbol
            ids.append(vocabulary[String(decoding: text, as: UTF8.self)] ?? unknownID)
            return symbol
        }
        for suffix in ["", Self.wordEnd] {
            for byte in UInt8.min...UInt8.max {
                let text = String(Self.visible(byte)) + suffix
                _ = symbol(Array(text.utf8)[...], &ids)
            }
        }
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        merges.reserveCapacity(lines.count)
        var rank = 0
        for line in lines.dropFirst().prefix(Self.mergeLimit) {
            let parts = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }
            guard parts.count == 2 else {
                if parts.isEmpty {
                    continue
                }
                throw .invalidFile(
                    path: url.path,
                    reason: "line \(rank + 2) is not a pair of symbols"
                )
            }
            let pair = Pair(left: symbol(parts[0], &ids), right: symbol(parts[1], &ids))
            let merged = symbol((parts[0] + parts[1])[...], &ids)
            merges[pair] = Merge(rank: rank, symbol: merged)
            rank += 1
        }
    }

    /// Returns the ids of one word, which is not empty.
    func ids(of word: String) -> [Int] {
        var symbols = word.utf8.map { Int32($0) }
        symbols[symbols.count - 1] += 256
        var next = zip(symbols, symbols.dropFirst()).map { merge($0, $1) }
        while let best = next.compactMap(\.self).min(by: { $0.rank < $1.rank }) {
            var merged: [Int32] = []
            var index = 0
            while index < symbols.count {
                if index < next.count, next[index]?.rank == best.rank {
                    merged.append(best.symbol)
                    index += 2
                } else {
                    merged.append(symbols[index])
                    index += 1
                }
            }
            symbols = merged
            next = zip(symbols, symbols.dropFirst()).map { merge($0, $1) }
        }
        return symbols.map { ids[Int($0)] }
    }

    private func merge(_ left: Int32, _ right: Int32) -> Merge? {
        merges[Pair(left: left, right: right)]
    }

    /// Returns the visible character that stands for a byte: itself, or one from U+0100 on.
    private static func visible(_ byte: UInt8) -> Unicode.Scalar {
        switch byte {
        case 0x21...0x7e, 0xa1...0xac, 0xae...0xff: Unicode.Scalar(byte)
        case ...0x20: Unicode.Scalar(0x100 + UInt16(byte)) ?? " "
        case 0x7f...0xa0: Unicode.Scalar(0x121 + UInt16(byte - 0x7f)) ?? " "
        default: Unicode.Scalar(0x143 as UInt16) ?? " "
        }
    }
}
