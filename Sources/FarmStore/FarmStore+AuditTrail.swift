package import FarmModel
package import FoundationEssentials
import Postgres

/// Something that a person, or the farm itself, changed.
package struct AuditRecord: Sendable, Hashable {
    package let id: Int64
    package let at: Date
    /// The owner of the token that asked for it; `farm` for the farm itself.
    package let actor: String
    /// As `job.cancelled`.
    package let action: String
    /// The id or name of what was changed.
    package let target: String
    /// What there is to know of it, as JSON.
    package let detail: String
    /// The address that it was asked for from; nil where it was the farm itself, or is not known.
    package let origin: String?

    init(_ row: Row) throws {
        id = try row.decode("id")
        at = try row.decode("at")
        actor = try row.decode("actor")
        action = try row.decode("action")
        target = try row.decode("target")
        detail = try row.decode("detail")
        origin = try row.decodeIfPresent("origin")
    }
}

/// From where the changes of a task are asked for.
package enum AuditOrigin {
    /// The address of the client; nil for the farm itself.
    @TaskLocal package static var current: String?
}

extension FarmStore {
    /// Writes into the audit what was changed outside of the database.
    package func recordChange(
        _ action: String,
        of target: String,
        by actor: String,
        _ detail: [String: String] = [:]
    ) async throws {
        try await pool.withConnection {
            try await Self.recordAudit(action, target, by: actor, detail, on: $0)
        }
    }

    /// Returns a page of what was changed.
    ///
    /// - Parameters:
    ///   - filter: What of it, and in which order.
    ///   - last: The record that ended the page before; nil for the first page.
    ///   - limit: At most so many.
    /// - Returns: The records in the filter's order.
    /// - Throws: `DatabaseError`.
    package func auditTrail(
        _ filter: AuditFilter = AuditFilter(),
        after last: Int64? = nil,
        limit: Int
    ) async throws -> [AuditRecord] {
        let (further, order) = filter.order == .newest ? ("<", "DESC") : (">", "ASC")
        return try await pool.query(
            """
            SELECT id, at, actor, action, target, detail::text AS detail, origin FROM audit
            WHERE (\(last)::bigint IS NULL OR id \(raw: further) \(last))
                AND (\(filter.actor)::text IS NULL OR actor = \(filter.actor))
                AND (\(filter.target)::text IS NULL OR target = \(filter.target))
                AND (\(filter.action)::text IS NULL OR action = \(filter.action)
                    OR starts_with(action, \(filter.action) || '.'))
                AND (\(filter.since)::timestamptz IS NULL OR at >= \(filter.since))
                AND (\(filter.until)::timestamptz IS NULL OR at < \(filter.until))
            ORDER BY id \(raw: order) LIMIT \(limit)
            """
        ).map(AuditRecord.init)
    }
}
