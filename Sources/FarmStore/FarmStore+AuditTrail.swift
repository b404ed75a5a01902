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

    /// Returns what was changed, the newest first, before the record that ended the last page.
    package func auditTrail(before: Int64? = nil, limit: Int) async throws -> [AuditRecord] {
        try await pool.query(
            """
            SELECT id, at, actor, action, target, detail::text AS detail, origin FROM audit
            WHERE \(before)::bigint IS NULL OR id < \(before) ORDER BY id DESC LIMIT \(limit)
            """
        ).map(AuditRecord.init)
    }
}
