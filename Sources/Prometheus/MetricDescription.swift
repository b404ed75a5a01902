/// What a family of series is: its name, type, unit and labels, and what it tells.
package struct MetricDescription: Sendable, Hashable {
    /// What kind of numbers a family has.
    package enum Kind: String, Sendable {
        /// A sum that only grows while the process lives; its name ends with `_total`.
        case counter
        /// A value that goes up and down.
        case gauge
        /// How many of some values were at most so large, with their sum and count.
        case histogram
        /// Labels that tell what a process is, with the value 1; its name ends with `_info`.
        case info
    }

    /// The name of its series, or of a histogram's what stands before `_bucket`, `_sum` and `_count`.
    package let name: String
    package let kind: Kind
    /// What is counted or measured, as `seconds`; the name ends with it where it is a base unit.
    package let unit: String
    /// One sentence without a full stop.
    package let help: String
    package let labels: [MetricLabel]

    /// - Precondition: The names are those that Prometheus takes, and the name's end is its kind's.
    package init(
        _ name: String,
        _ kind: Kind,
        unit: String,
        help: String,
        labels: [MetricLabel] = []
    ) {
        precondition(Self.isName(name), "'\(name)' is no metric's name")
        precondition(labels.allSatisfy { Self.isName($0.name) }, "A label of \(name) has no name")
        switch kind {
        case .counter: precondition(name.hasSuffix("_total"), "A counter ends with _total")
        case .info: precondition(name.hasSuffix("_info"), "An info ends with _info")
        case .gauge, .histogram: break
        }
        self.name = name
        self.kind = kind
        self.unit = unit
        self.help = help
        self.labels = labels
    }

    /// The name of the family as OpenMetrics has it: without the suffix of its kind.
    var family: Substring {
        switch kind {
        case .counter: name.dropLast("_total".count)
        case .info: name.dropLast("_info".count)
        case .gauge, .histogram: name[...]
        }
    }

    /// The values of every series that is known beforehand: each combination of known values.
    package var knownSeries: [[String]] {
        labels.reduce([[]]) { series, label in
            series.flatMap { values in label.known.map { values + [$0] } }
        }
    }

    /// Names are of letters, digits and `_`, and begin with no digit.
    private static func isName(_ text: String) -> Bool {
        text.wholeMatch(of: /[a-zA-Z][a-zA-Z0-9_]*/) != nil
    }
}

/// A label of a family, with the values that it has from the first scrape on.
package struct MetricLabel: Sendable, Hashable {
    package let name: String
    package let known: [String]
    /// Whether it can have other values, too.
    package let isOpen: Bool

    package init(_ name: String, _ known: [String], isOpen: Bool = false) {
        self.name = name
        self.known = known
        self.isOpen = isOpen
    }
}
