/// The values of a family by the values of its labels; bounded.
struct SeriesTable<Value: Sendable>: Sendable {
    /// What stands for the values of an open label that came when there was no room any more.
    static var remainder: String { "other" }

    private let labels: [MetricLabel]
    private let initial: Value
    private let capacity: Int
    private(set) var values: [[String]: Value] = [:]

    /// A table with every series that is known beforehand.
    ///
    /// - Parameters:
    ///   - description: Whose labels the series have.
    ///   - initial: The value with which a series begins.
    ///   - capacity: How many series come to be by values that are not known beforehand.
    init(_ description: MetricDescription, initial: Value, capacity: Int = 500) {
        labels = description.labels
        self.initial = initial
        values = Dictionary(
            uniqueKeysWithValues: description.knownSeries.map { ($0, initial) }
        )
        self.capacity = values.count + capacity
    }

    /// Changes the value of a series.
    ///
    /// - Precondition: There is a value for each label.
    mutating func change(_ series: [String], _ body: (inout Value) -> Void) {
        precondition(series.count == labels.count, "Each label has a value")
        if let place = values.index(forKey: series) {
            body(&values.values[place])
        } else {
            let kept = values.count < capacity ? series : rest(of: series)
            var value = values[kept] ?? initial
            body(&value)
            values[kept] = value
        }
    }

    /// The series with what is not known beforehand put together.
    private func rest(of series: [String]) -> [String] {
        zip(series, labels).map { value, label in
            label.known.contains(value) ? value : Self.remainder
        }
    }
}
