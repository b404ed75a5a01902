package import FarmModel
import Postgres

extension FarmStore {
    /// Sets how many places a named limit has; what has a place keeps it.
    package func setLimit(_ name: String, count: Int, by actor: String) async throws {
        try await withRetriedTransaction { connection in
            try await connection.execute(
                """
                INSERT INTO named_limit (name, count) VALUES (\(name), \(count))
                ON CONFLICT (name) DO UPDATE SET count = excluded.count, set_at = now()
                """
            )
            try await Self.recordAudit(
                "limit.set",
                name,
                by: actor,
                ["count": String(count)],
                on: connection
            )
            try await Self.notify(.control, "limit", on: connection)
        }
        desk.expire()
    }

    /// Takes a named limit away: what asks for it waits until it is set again; false where there is none.
    package func removeLimit(_ name: String, by actor: String) async throws -> Bool {
        let isRemoved = try await withRetriedTransaction { connection in
            let removed = try await connection.execute(
                "DELETE FROM named_limit WHERE name = \(name)"
            )
            guard removed > 0 else { return false }
            try await Self.recordAudit("limit.removed", name, by: actor, on: connection)
            try await Self.notify(.control, "limit", on: connection)
            return true
        }
        desk.expire()
        return isRemoved
    }

    /// Returns the named limits with how many tasks have a place, by name.
    ///
    /// - Parameter withJobs: Whether to say which jobs' tasks these are.
    /// - Returns: The limits.
    /// - Throws: `DatabaseError`.
    package func limits(withJobs: Bool) async throws -> [LimitView] {
        let rows = try await pool.query(
            """
            SELECT named_limit.name, named_limit.count, held.job_id, held.job_name, held.owner,
                coalesce(held.tasks, 0) AS tasks
            FROM named_limit LEFT JOIN (
                SELECT unnest(head.limits) AS name, job.id AS job_id, job.name AS job_name,
                    job.owner, count(*) AS tasks
                FROM lease JOIN head ON head.id = lease.head_id JOIN job ON job.id = lease.job_id
                WHERE head.limits <> '{}' GROUP BY 1, 2, 3, 4
            ) AS held ON held.name = named_limit.name
            ORDER BY named_limit.name, held.job_id
            """
        )
        var limits: [LimitView] = []
        for row in rows {
            let name = try row.decode("name", as: String.self)
            if limits.last?.name != name {
                limits.append(
                    LimitView(
                        name: name,
                        count: try row.decode("count"),
                        used: 0,
                        jobs: withJobs ? [] : nil
                    )
                )
            }
            guard let job = try row.decodeIfPresent("job_id", as: JobID.self) else { continue }
            let use = LimitUse(
                job: job,
                name: try row.decode("job_name"),
                owner: try row.decode("owner"),
                tasks: try row.decode("tasks")
            )
            limits[limits.count - 1].used += use.tasks
            limits[limits.count - 1].jobs?.append(use)
        }
        return limits
    }

    /// Returns those of the names that no limit has.
    package func unknownLimits(among names: [String]) async throws -> [String] {
        guard !names.isEmpty else { return [] }
        return try await pool.query(
            """
            SELECT asked.name FROM unnest(\(names)::text[]) AS asked (name)
            WHERE NOT EXISTS (SELECT FROM named_limit WHERE named_limit.name = asked.name)
            ORDER BY asked.name
            """
        ).map { try $0.decode("name") }
    }

    /// Counts who has places of the limits that heads ask for; no query where none does.
    func limitCounts(
        of heads: [HeadView],
        on connection: PostgresConnection
    ) async throws -> [String: LimitCount] {
        let names = Set(heads.flatMap(\.requirement.limits))
        guard !names.isEmpty else { return [:] }
        let rows = try await connection.query(
            """
            SELECT named_limit.name, named_limit.count, held.owner, coalesce(held.tasks, 0) AS tasks
            FROM named_limit LEFT JOIN (
                SELECT unnest(head.limits) AS name, head.owner, count(*) AS tasks
                FROM lease JOIN head ON head.id = lease.head_id
                WHERE head.limits <> '{}' GROUP BY 1, 2
            ) AS held ON held.name = named_limit.name
            WHERE named_limit.name = ANY(\(names.sorted())::text[])
            """
        )
        var limits: [String: LimitCount] = [:]
        for row in rows {
            let name = try row.decode("name", as: String.self)
            let count = try row.decode("count", as: Int.self)
            var limit = limits[name] ?? LimitCount(count: count)
            let tasks = try row.decode("tasks", as: Int.self)
            limit.used += tasks
            if let owner = try row.decodeIfPresent("owner", as: String.self) {
                limit.owners[owner] = tasks
            }
            limits[name] = limit
        }
        return limits
    }

    /// Whether nothing but workers keeps a head's tasks from being claimed, as SQL: no quota of its owner
    /// and no named limit.
    static let isUnbounded = """
        (NOT EXISTS (
            SELECT FROM account WHERE account.owner = head.owner
                AND (account.blob_bytes >= account.max_blob_bytes
                    OR account.budget_action = 'hold'
                        AND account.compute_seconds >= account.budget_seconds
                    OR account.max_images <= (
                        SELECT coalesce(sum(lease.image_count), 0) FROM lease
                        WHERE lease.owner = head.owner))
        ) AND NOT EXISTS (
            SELECT FROM unnest(head.limits) AS asked (name)
            LEFT JOIN named_limit ON named_limit.name = asked.name
            WHERE coalesce(named_limit.count, 0) <= (
                SELECT count(*) FROM lease JOIN head AS other ON other.id = lease.head_id
                WHERE asked.name = ANY(other.limits))
        ))
        """
}
