/// Indices of a job's images as people write them: `0-3,7`.
package enum ImageIndices {
    /// The indices of some words, in order and each once.
    ///
    /// - Parameter words: Numbers and ranges, with commas between them or not.
    /// - Returns: The indices; nil where a word is neither, or there are more than a job can have.
    package static func indices(in words: [String]) -> [Int]? {
        var indices: Set<Int> = []
        for word in words {
            let limit = JobSpecification.largestImageCount
            guard let part = try? SeedRange.seeds(in: word, limit: limit) else { return nil }
            indices.formUnion(part.map(Int.init))
            guard indices.count <= limit else { return nil }
        }
        return indices.sorted()
    }

    /// The indices as the shortest ranges.
    package static func text(of indices: [Int]) -> String {
        SeedRange.text(of: indices.map(Int64.init))
    }
}
