/// The pieces of a unigram model, and the search for a word's most probable split.
struct UnigramVocabulary: Sendable {
    private struct Best {
        var score = 0.0
        var start: Int?
        var id = 0
    }

    /// Taken from the lowest score, the score of a character that no piece has.
    private static let unknownPenalty = 10.0

    /// The id of characters that no piece has.
    let unknownID: Int
    private let scores: [Double]
    private let unknownScore: Double
    /// Trie edges: node in the high bits, byte in the low eight; node 0 is the root.
    private var edges: [UInt64: Int32] = [:]
    /// The id of the piece that ends at a node, or -1.
    private var ends: [Int32] = [-1]

    /// Makes the vocabulary of pieces in the order of their ids, with their log probabilities.
    init(pieces: [(text: [UInt8], score: Double)], unknownID: Int) {
        self.unknownID = unknownID
        scores = pieces.map(\.score)
        unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
        for (id, piece) in pieces.enumerated() {
            insert(piece.text, id: Int32(id))
        }
    }

    /// Returns the ids of the most probable split; neighbouring unknown characters share one id.
    ///
    /// - Parameter word: UTF-8 bytes.
    /// - Returns: The ids from the word's start to its end.
    func ids(of word: ArraySlice<UInt8>) -> [Int] {
        let word = Array(word)
        var best = [Best](repeating: Best(), count: word.count + 1)
        var start = 0
        while start < word.count {
            let width = Self.width(leading: word[start])
            if !extend(&best, with: word, from: start, width: width) {
                let end = min(start + width, word.count)
                improve(&best[end], start, best[start].score + unknownScore, unknownID)
            }
            start += width
        }
        var ids: [Int] = []
        var end = word.count
        while let start = best[end].start {
            let id = best[end].id
            if id != unknownID || ids.last != unknownID {
                ids.append(id)
            }
            end = start
        }
        return ids.reversed()
    }

    /// Tries every piece that begins at `start`; returns whether one is a single character.
    private func extend(
        _ best: inout [Best],
        with word: [UInt8],
        from start: Int,
        width: Int
    ) -> Bool {
        var hasCharacter = false
        var node: Int32 = 0
        for index in start..<word.count {
            guard let next = edges[UInt64(node) << 8 | UInt64(word[index])] else {
                break
            }
            node = next
            let id = Int(ends[Int(node)])
            if id >= 0 {
                improve(&best[index + 1], start, best[start].score + scores[id], id)
                hasCharacter = hasCharacter || index + 1 - start == width
            }
        }
        return hasCharacter
    }

    private func improve(_ best: inout Best, _ start: Int, _ score: Double, _ id: Int) {
        if best.start == nil || score > best.score {
            best = Best(score: score, start: start, id: id)
        }
    }

    private mutating func insert(_ piece: [UInt8], id: Int32) {
        var node: Int32 = 0
        for byte in piece {
            let key = UInt64(node) << 8 | UInt64(byte)
            if let next = edges[key] {
                node = next
            } else {
                edges[key] = Int32(ends.count)
                node = Int32(ends.count)
                ends.append(-1)
            }
        }
        if node != 0 {
            ends[Int(node)] = id
        }
    }

    private static func width(leading byte: UInt8) -> Int {
        switch byte {
        case ..<0x80: 1
        case ..<0xe0: 2
        case ..<0xf0: 3
        default: 4
        }
    }
}
