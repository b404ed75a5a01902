/// A range of priorities.
///
/// Within a band priority only orders what waits; a task of a higher band may take the place of one that
/// renders.
package enum PriorityBand: Int, CaseIterable, Comparable, Sendable {
    /// 0…24.
    case low
    /// 25…74, with what a job has that says nothing.
    case normal
    /// 75…100.
    case high

    /// The band of a priority.
    package init(of priority: Int) {
        self = Self.allCases.last { $0.floor <= priority } ?? .low
    }

    /// The lowest priority in it.
    package var floor: Int {
        switch self {
        case .low: 0
        case .normal: 25
        case .high: 75
        }
    }

    /// The next band above; nil for the highest.
    package var above: PriorityBand? { PriorityBand(rawValue: rawValue + 1) }

    package static func < (first: PriorityBand, second: PriorityBand) -> Bool {
        first.rawValue < second.rawValue
    }
}
