/// Series of one name: what a registry writes.
package protocol MetricFamily: Sendable {
    var description: MetricDescription { get }

    /// The series as they are now; reads memory and waits for nothing.
    func series() -> [MetricSeries]
}

/// One series at a moment.
package struct MetricSeries: Sendable, Hashable {
    package enum Value: Sendable, Hashable {
        case number(Double)
        case distribution(Distribution)
    }

    /// The values of the family's labels, in their order.
    package let labels: [String]
    package let value: Value

    package init(labels: [String], value: Value) {
        self.labels = labels
        self.value = value
    }
}

/// How values were spread over a histogram's buckets.
package struct Distribution: Sendable, Hashable {
    /// The upper bounds of the buckets, ascending; the last bucket has none.
    package let bounds: [Double]
    /// How many values each bucket has for itself, the one without a bound last.
    package private(set) var counts: [UInt64]
    package private(set) var sum = 0.0

    /// - Precondition: The bounds are finite and ascend.
    package init(bounds: [Double]) {
        precondition(
            bounds.allSatisfy(\.isFinite) && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 },
            "A histogram's bounds are finite and ascend"
        )
        self.bounds = bounds
        counts = [UInt64](repeating: 0, count: bounds.count + 1)
    }

    /// How many values there are.
    package var count: UInt64 { cumulativeCounts.last ?? 0 }

    /// How many values are at most each bound, all of them last.
    package var cumulativeCounts: [UInt64] {
        var sum: UInt64 = 0
        return counts.map { own in
            sum.addSaturating(own)
            return sum
        }
    }

    /// Adds a value so many times; what is negative or not finite is left out, since a sum that
    /// falls reads as a restart.
    package mutating func add(_ value: Double, times: Int = 1) {
        guard value.isFinite, value >= 0, times > 0 else { return }
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count].addSaturating(UInt64(times))
        sum += value * Double(times)
    }
}

extension UInt64 {
    /// Adds a count, and stays at the greatest one where the sum is greater.
    fileprivate mutating func addSaturating(_ other: UInt64) {
        let (sum, isOver) = addingReportingOverflow(other)
        self = isOver ? .max : sum
    }
}
