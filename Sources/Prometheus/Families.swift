import Synchronization

/// Sums that only grow.
package final class Counter: MetricFamily {
    package let description: MetricDescription
    private let table: Mutex<SeriesTable<Double>>

    /// - Precondition: The description is a counter's.
    package init(_ description: MetricDescription) {
        precondition(description.kind == .counter, "\(description.name) is no counter")
        self.description = description
        table = Mutex(SeriesTable(description, initial: 0))
    }

    /// Adds to the series that has these values of the labels, in their order; what is negative or
    /// not finite is left out.
    package func add(_ amount: Double = 1, _ labels: String...) {
        guard amount.isFinite, amount >= 0 else { return }
        table.withLock { $0.change(labels) { $0 += amount } }
    }

    package func series() -> [MetricSeries] {
        table.withLock(\.values).numbers
    }
}

/// Values that go up and down.
package final class Gauge: MetricFamily {
    package let description: MetricDescription
    private let values: Mutex<[[String]: Double]>

    /// Every known series at zero, or none where they are `absent` until something sets them.
    ///
    /// - Precondition: The description is a gauge's or an info's.
    package init(_ description: MetricDescription, areAbsent: Bool = false) {
        precondition(
            description.kind == .gauge || description.kind == .info,
            "\(description.name) is no gauge"
        )
        self.description = description
        let known = areAbsent ? [] : description.knownSeries
        let initial = description.kind == .info ? 1.0 : 0
        values = Mutex(Dictionary(uniqueKeysWithValues: known.map { ($0, initial) }))
    }

    /// Sets the series that has these values of the labels, in their order.
    ///
    /// - Precondition: There is a value for each label.
    package func set(_ value: Double, _ labels: String...) {
        precondition(labels.count == description.labels.count, "Each label has a value")
        values.withLock { $0[labels] = value }
    }

    /// Sets all series at once, by the values of their labels; those that are not named go.
    package func replace(_ series: [[String]: Double]) {
        precondition(
            series.keys.allSatisfy { $0.count == description.labels.count },
            "Each label has a value"
        )
        values.withLock { $0 = series }
    }

    package func series() -> [MetricSeries] {
        values.withLock(\.self).numbers
    }
}

/// How values are spread, by fixed bounds.
package final class Histogram: MetricFamily {
    package let description: MetricDescription
    /// The upper bounds of the buckets, ascending; one without a bound follows.
    package let bounds: [Double]
    private let table: Mutex<SeriesTable<Distribution>>

    /// - Precondition: The description is a histogram's; the bounds are finite and ascend.
    package init(_ description: MetricDescription, bounds: [Double]) {
        precondition(description.kind == .histogram, "\(description.name) is no histogram")
        self.description = description
        self.bounds = bounds
        table = Mutex(SeriesTable(description, initial: Distribution(bounds: bounds)))
    }

    /// Adds a value to the series that has these values of the labels, in their order.
    ///
    /// - Parameters:
    ///   - value: In the family's unit; what is negative or not finite is left out.
    ///   - times: How often: a mean stands for so many values.
    ///   - labels: The values of the labels.
    package func observe(_ value: Double, times: Int = 1, _ labels: String...) {
        table.withLock { $0.change(labels) { $0.add(value, times: times) } }
    }

    package func series() -> [MetricSeries] {
        table.withLock(\.values).sortedSeries.map {
            MetricSeries(labels: $0.key, value: .distribution($0.value))
        }
    }
}

/// Numbers that something else keeps: they are read when they are written.
package struct ReadFamily: MetricFamily {
    package let description: MetricDescription
    private let read: @Sendable () -> [[String]: Double]

    /// - Parameters:
    ///   - description: A counter's or gauge's.
    ///   - read: Gives the numbers by the values of the labels; has to read memory alone.
    package init(
        _ description: MetricDescription,
        _ read: @escaping @Sendable () -> [[String]: Double]
    ) {
        precondition(description.kind != .histogram, "\(description.name) is no number")
        self.description = description
        self.read = read
    }

    package func series() -> [MetricSeries] {
        // What nothing was told of is zero.
        Dictionary(uniqueKeysWithValues: description.knownSeries.map { ($0, 0) })
            .merging(read()) { $1 }.numbers
    }
}

extension [[String]: Double] {
    fileprivate var numbers: [MetricSeries] {
        sortedSeries.map { MetricSeries(labels: $0.key, value: .number($0.value)) }
    }
}

extension Dictionary where Key == [String] {
    /// By the values of the labels, so that two scrapes have one order.
    fileprivate var sortedSeries: [(key: Key, value: Value)] {
        sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }
}
