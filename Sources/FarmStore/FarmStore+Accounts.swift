import Postgres

/// An owner and its share of the farm.
package struct AccountRecord: Sendable, Hashable {
    package let owner: String
    /// Its part against the other owners'.
    package let weight: Double
    /// What it was charged, in floating point operations, decayed to now.
    package let charge: Double

    init(_ row: Row) throws {
        owner = try row.decode("owner")
        weight = try row.decode("weight")
        charge = try row.decode("charge")
    }
}

extension FarmStore {
    /// Returns the owners with their weights and charges, by name.
    package func accounts() async throws -> [AccountRecord] {
        try await pool.query(
            """
            SELECT account.owner, account.weight, coalesce(usage.charge, 0) AS charge
            FROM account LEFT JOIN (
                SELECT owner, sum(charge * power(0.5, least(1000, greatest(0,
                    extract(epoch FROM now() - charged_at))::double precision / 3600))) AS charge
                FROM account_usage GROUP BY owner
            ) AS usage ON usage.owner = account.owner
            ORDER BY account.owner
            """
        ).map(AccountRecord.init)
    }

    /// Sets an owner's part of the farm, which is 1 where nobody said otherwise.
    ///
    /// Throws a `DatabaseError` when the weight is not above 0.
    package func setWeight(
        owner: String,
        weight: Double,
        by actor: String
    ) async throws {
        try await withRetriedTransaction { connection in
            try await connection.execute(
                """
                INSERT INTO account (owner, weight) VALUES (\(owner), \(weight))
                ON CONFLICT (owner) DO UPDATE SET weight = excluded.weight
                """
            )
            try await Self.recordAudit(
                "account.weighted",
                owner,
                by: actor,
                ["weight": String(weight)],
                on: connection
            )
            try await Self.notify(.control, "account", on: connection)
        }
    }
}
