package import FarmModel
import Postgres

/// An owner, its share of the farm, and what it may use and uses.
package struct AccountRecord: Sendable, Hashable {
    package let owner: String
    /// Its part against the other owners'.
    package let weight: Double
    /// What it was charged, in floating point operations, decayed to now.
    package let charge: Double
    package let quotas: AccountQuotas
    /// Images of it that are leased.
    package let imagesInFlight: Int
    /// Bytes that it holds, as last measured; 0 where it has no quota of them.
    package let blobBytes: Int64
    /// Seconds of workers in its budget's period, in the longest one where it has no budget.
    package let computeSeconds: Double

    init(_ row: Row) throws {
        owner = try row.decode("owner")
        weight = try row.decode("weight")
        charge = try row.decode("charge")
        quotas = try AccountQuotas(row)
        imagesInFlight = try row.decode("images")
        blobBytes = try row.decode("blob_bytes")
        computeSeconds = try row.decode("compute")
    }
}

extension FarmStore {
    /// Returns the owners with their weights, charges and quotas, by name; one alone where it is named.
    package func accounts(of owner: String? = nil) async throws -> [AccountRecord] {
        try await pool.query(
            """
            SELECT account.owner, account.weight, coalesce(usage.charge, 0) AS charge,
                coalesce(running.images, 0) AS images, account.blob_bytes,
                \(raw: Self.computeUsed) AS compute, \(raw: AccountQuotas.columns)
            FROM account LEFT JOIN (
                SELECT owner, sum(charge * power(0.5, least(1000, greatest(0,
                    extract(epoch FROM now() - charged_at))::double precision / 3600))) AS charge
                FROM account_usage GROUP BY owner
            ) AS usage ON usage.owner = account.owner LEFT JOIN (
                SELECT owner, sum(image_count) AS images FROM lease GROUP BY owner
            ) AS running ON running.owner = account.owner
            WHERE \(owner)::text IS NULL OR account.owner = \(owner)
            ORDER BY account.owner
            """
        ).map(AccountRecord.init)
    }

    /// Changes an owner's part of the farm, which is 1 where nobody said otherwise, and what it may use
    /// at most.
    ///
    /// A quota that is lowered stops nothing that runs.
    ///
    /// - Parameters:
    ///   - owner: Who; it need not have had a job.
    ///   - change: What is to be changed.
    ///   - outputs: How long pictures are kept after their job's end, nil for ever.
    ///   - actor: Who asked for it.
    /// - Throws: `DatabaseError`, also where the weight is not above 0.
    package func changeAccount(
        of owner: String,
        _ change: AccountRequest,
        keepingOutputs outputs: Duration? = nil,
        by actor: String
    ) async throws {
        try await withRetriedTransaction { connection in
            try await connection.execute(
                "INSERT INTO account (owner) VALUES (\(owner)) ON CONFLICT DO NOTHING"
            )
            let budget = change.budget
            try await connection.execute(
                """
                UPDATE account SET weight = coalesce(\(change.weight), weight),
                    max_images = CASE WHEN \(change.maxImages != nil)::boolean
                        THEN \(change.maxImages?.value)::integer ELSE max_images END,
                    max_blob_bytes = CASE WHEN \(change.maxBlobBytes != nil)::boolean
                        THEN \(change.maxBlobBytes?.value)::bigint ELSE max_blob_bytes END,
                    priority_ceiling = CASE WHEN \(change.priorityCeiling != nil)::boolean
                        THEN \(change.priorityCeiling?.value)::integer ELSE priority_ceiling END,
                    budget_seconds = CASE WHEN \(budget != nil)::boolean
                        THEN \(budget?.value?.seconds)::double precision ELSE budget_seconds END,
                    budget_period = CASE WHEN \(budget != nil)::boolean
                        THEN \(budget?.value?.period)::text ELSE budget_period END,
                    budget_action = CASE WHEN \(budget != nil)::boolean
                        THEN \(budget?.value?.action)::text ELSE budget_action END,
                    budget_told = CASE WHEN \(budget != nil)::boolean THEN 0 ELSE budget_told END
                WHERE owner = \(owner)
                """
            )
            // what was used so far counts at once
            try await connection.execute(
                """
                UPDATE account SET compute_seconds = \(raw: Self.computeUsed)
                WHERE owner = \(owner) AND budget_seconds IS NOT NULL
                """
            )
            for (action, detail) in change.audit {
                try await Self.recordAudit(action, owner, by: actor, detail, on: connection)
            }
            try await Self.notify(.control, "account", on: connection)
        }
        if change.maxBlobBytes?.value != nil {
            try await measureBlobs(of: owner, keepingOutputs: outputs)
        }
        desk.expire()
    }
}

extension AccountRequest {
    /// What the audit trail says of the change: an entry for the weight, one for the quotas.
    fileprivate var audit: [(action: String, detail: [String: String])] {
        var entries: [(action: String, detail: [String: String])] = []
        if let weight { entries.append(("account.weighted", ["weight": String(weight)])) }
        var quotas: [String: String] = [:]
        func note<Value>(_ name: String, _ change: Change<Value>?, _ text: (Value) -> String) {
            guard let change else { return }
            quotas[name] = change.value.map(text) ?? "none"
        }
        note("max_images", maxImages) { String($0) }
        note("max_blob_bytes", maxBlobBytes) { String($0) }
        note("priority_ceiling", priorityCeiling) { String($0) }
        note("budget", budget) { "\($0.seconds) s a \($0.period), \($0.action)" }
        if !quotas.isEmpty { entries.append(("account.limited", quotas)) }
        return entries
    }
}
