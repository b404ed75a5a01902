import Postgres

/// How long one owner's things are kept, where it is not as long as the farm keeps them.
///
/// Times are in seconds from the end of a job on: `infinity` is for ever, nil is as the farm's settings say.
package struct RetentionRule: Sendable, Hashable {
    package var owner: String
    /// Pictures.
    package var outputs: Double?
    /// Jobs; those with pictures stay for as long as the pictures do.
    package var history: Double?

    package init(owner: String, outputs: Double? = nil, history: Double? = nil) {
        self.owner = owner
        self.outputs = outputs
        self.history = history
    }

    init(_ row: Row) throws {
        owner = try row.decode("owner")
        outputs = try row.decodeIfPresent("outputs")
        history = try row.decodeIfPresent("history")
    }

    fileprivate var detail: [String: String] {
        var detail: [String: String] = [:]
        if let outputs { detail["outputs_seconds"] = String(outputs) }
        if let history { detail["history_seconds"] = String(history) }
        return detail
    }
}

extension FarmStore {
    /// Returns the owners' rules, by owner.
    package func retentionRules() async throws -> [RetentionRule] {
        try await pool.query("SELECT owner, outputs, history FROM retention ORDER BY owner")
            .map(RetentionRule.init)
    }

    /// Makes a rule, in the place of the owner's rule that there is.
    ///
    /// - Parameters:
    ///   - rule: What is to hold; one time at least.
    ///   - actor: Who asked for it.
    /// - Throws: `DatabaseError` where no time, or one below 0, is given.
    package func setRetention(_ rule: RetentionRule, by actor: String) async throws {
        try await withRetriedTransaction { connection in
            try await connection.execute(
                """
                INSERT INTO retention (owner, outputs, history)
                VALUES (\(rule.owner), \(rule.outputs)::double precision,
                    \(rule.history)::double precision)
                ON CONFLICT (owner) DO UPDATE
                    SET outputs = excluded.outputs, history = excluded.history
                """
            )
            try await Self.recordAudit(
                "retention.set",
                rule.owner,
                by: actor,
                rule.detail,
                on: connection
            )
        }
    }

    /// Removes an owner's rule; false where there is none.
    package func removeRetention(of owner: String, by actor: String) async throws -> Bool {
        try await withRetriedTransaction { connection in
            let removed = try await connection.execute(
                "DELETE FROM retention WHERE owner = \(owner)"
            )
            guard removed > 0 else { return false }
            try await Self.recordAudit("retention.removed", owner, by: actor, on: connection)
            return true
        }
    }
}
