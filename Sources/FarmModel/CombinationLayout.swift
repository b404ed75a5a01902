/// Where in the order of images each axis takes which value: random access into a combination.
///
/// An axis takes value `(index / stride) % length` in image `index`, whatever products and zips the
/// expression is made of.
struct CombinationLayout: Hashable, Sendable {
    /// How many images there are.
    let count: Int
    private var places: [Parameter: Place] = [:]

    private struct Place: Hashable, Sendable {
        var stride: Int
        var length: Int
    }

    /// Lays out an expression over axes of these lengths.
    ///
    /// - Throws: ``CombinationError`` when zipped axes differ in length, or when there are more than
    ///   `limit` points.
    init(
        _ combination: Combination,
        lengths: [Parameter: Int],
        limit: Int
    ) throws(CombinationError) {
        count = try combination.count(of: lengths, limit: limit)
        try place(combination, lengths, stride: 1, limit)
    }

    private mutating func place(
        _ combination: Combination,
        _ lengths: [Parameter: Int],
        stride: Int,
        _ limit: Int
    ) throws(CombinationError) {
        switch combination {
        case .axis(let parameter):
            places[parameter] = Place(stride: stride, length: lengths[parameter, default: 1])
        case .product(let terms):
            var inner = stride
            for term in terms.reversed() {
                try place(term, lengths, stride: inner, limit)
                inner *= try term.count(of: lengths, limit: limit)
            }
        case .zip(let terms):
            for term in terms { try place(term, lengths, stride: stride, limit) }
        }
    }

    /// How many images in a row have the same value of the axis; all for one that the expression lacks.
    func stride(of parameter: Parameter) -> Int { places[parameter]?.stride ?? count }

    /// The index of the axis's value in an image; 0 for an axis that the expression lacks.
    func position(of parameter: Parameter, in index: Int) -> Int {
        guard let place = places[parameter] else { return 0 }
        return index / place.stride % place.length
    }
}
