/// Seeds written as ranges, as in `1-10:2, 1,4,9`: comma-separated numbers and inclusive ranges,
/// each range with an optional step.
enum SeedRange {
    /// The seeds of `text` in order, at most `limit` of them.
    static func seeds(in text: String, limit: Int) throws(SeedRangeError) -> [Int64] {
        var seeds: [Int64] = []
        for term in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let range = range(of: trimmed(term)) else { throw .noRange }
            let count = (range.last - range.first) / range.step
            guard count < Int64(limit - seeds.count) else { throw .tooMany }
            seeds += Array(stride(from: range.first, through: range.last, by: Int(range.step)))
        }
        return seeds
    }

    /// The seeds as the shortest ranges that a reading from the left finds: `1-8`, `1-9:2`, `4,7`.
    ///
    /// Equal seeds give equal text, and ``seeds(in:limit:)`` reads them back.
    static func text(of seeds: [Int64]) -> String {
        var terms: [String] = []
        var start = 0
        while start < seeds.count {
            let end = endOfRun(in: seeds, from: start)
            if end - start >= 2 {
                let step = seeds[start + 1] - seeds[start]
                terms.append("\(seeds[start])-\(seeds[end])" + (step == 1 ? "" : ":\(step)"))
                start = end + 1
            } else {
                terms.append(String(seeds[start]))
                start += 1
            }
        }
        return terms.joined(separator: ",")
    }

    /// The last place of the longest run of one step that begins at `start`.
    private static func endOfRun(in seeds: [Int64], from start: Int) -> Int {
        guard start + 1 < seeds.count, seeds[start] < seeds[start + 1] else { return start }
        let step = seeds[start + 1] - seeds[start]
        var end = start + 1
        while end + 1 < seeds.count, seeds[end] < seeds[end + 1],
            seeds[end + 1] - seeds[end] == step
        {
            end += 1
        }
        return end
    }

    private static func range(of term: Substring) -> (first: Int64, last: Int64, step: Int64)? {
        let parts = term.split(separator: ":", omittingEmptySubsequences: false)
        guard let span = parts.first else { return nil }
        let ends = span.split(separator: "-", omittingEmptySubsequences: false).map(number)
        let step = parts.count == 2 ? number(parts[1]) : 1
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, let step,
            ends.count <= 2, parts.count <= ends.count, first <= last, step > 0
        else { return nil }
        return (first, last, step)
    }

    private static func number(_ text: Substring) -> Int64? {
        let digits = trimmed(text)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else {
            return nil
        }
        return Int64(digits)
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// Why a text gives no seeds.
enum SeedRangeError: Error {
    case noRange
    case tooMany
}
