package import FoundationEssentials

/// Which records of the audit are asked for, and in which order: the query of `GET /v1/audit`.
package struct AuditFilter: Sendable, Hashable {
    /// Who changed something.
    package var actor: String?
    /// What was done: an action (`job.cancelled`), or all that begin with a word (`job`).
    package var action: String?
    /// The id or name of what was changed.
    package var target: String?
    /// From this moment on.
    package var since: Date?
    /// Before this moment.
    package var until: Date?
    package var order = Order.newest

    /// Which records come first.
    package enum Order: String, CaseIterable, Sendable {
        case newest
        case oldest
    }

    /// Creates the filter that lets everything through.
    package init() {}

    /// The keys of the query that it is written in.
    package static let queryKeys = ["actor", "action", "target", "since", "until", "order"]

    /// The filter as keys and values of a query.
    package var query: [(String, String?)] {
        [
            ("actor", actor), ("action", action), ("target", target),
            ("since", since.map(Self.text)), ("until", until.map(Self.text)),
            ("order", order == .newest ? nil : order.rawValue),
        ]
    }

    private static func text(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
