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

    init(_ row: Row) throws {
        id = try row.decode("id")
        at = try row.decode("at")
        actor = try row.decode("actor")
        action = try row.decode("action")
        target = try row.decode("target")
        detail = try row.decode("detail")
    }
}

extension FarmStore {
    /// Returns what was changed, the newest first, before the record that ended the last page.
    package func auditTrail(before: Int64? = nil, limit: Int) async throws -> [AuditRecord] {
        try await pool.query(
            """
            SELECT id, at, actor, action, target, detail::text AS detail FROM audit
            WHERE \(before)::bigint IS NULL OR id < \(before) ORDER BY id DESC LIMIT \(limit)
            """
        ).map(AuditRecord.init)
    }
}
