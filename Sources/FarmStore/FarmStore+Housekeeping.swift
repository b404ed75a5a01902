import Postgres

/// What one run of the vacuum duty did.
package struct VacuumReport: Sendable, Hashable {
    /// The tables that were vacuumed.
    package var tables: [String] = []
    /// The rows of each hot table as they were counted before.
    package var counts: [String: RowCounts] = [:]
    /// The tables that were vacuumed because they rest, and have not changed since.
    fileprivate var rested: Set<String> = []
}

extension FarmStore {
    /// So few dead rows are not worth a vacuum, after which every session plans its statements anew.
    private static let fewDeadRows = 200

    /// So many are, however many live: who looks for the first ready task of a head walks them.
    private static let manyDeadRows = 20_000

    /// Vacuums the hot tables that have half as many dead rows as live ones, or very many, and those
    /// that rest with any: the vacuum duty.
    ///
    /// The server's own autovacuum comes at most once a minute, in which claims leave as many dead
    /// rows as there were tasks.
    ///
    /// - Parameter before: The last run; a table of which nothing changed since rests. Where that
    ///   vacuum could not take the dead rows, since somebody's snapshot is old, it is not tried again.
    /// - Returns: What was counted and vacuumed.
    /// - Throws: `DatabaseError`.
    package func runVacuum(since before: VacuumReport? = nil) async throws -> VacuumReport {
        var report = VacuumReport(counts: try await pool.withConnection(tableCounts))
        let unchanged = report.counts.filter { before?.counts[$0.key] == $0.value }
        report.rested = before?.rested.intersection(unchanged.keys) ?? []
        var due: [String] = []
        for (table, counts) in report.counts.sorted(by: { $0.key < $1.key }) {
            let bound = min(max(counts.live / 2, Self.fewDeadRows), Self.manyDeadRows)
            if counts.dead > bound {
                due.append(table)
            } else if unchanged[table] != nil, counts.dead > counts.live / 2,
                report.rested.insert(table).inserted
            {
                due.append(table)
            }
        }
        guard !due.isEmpty else { return report }
        try await pool.withoutStatementTimeout(for: "vacuum") { connection in
            for table in due {
                // A name of the list above, not of anybody's making.
                try await connection.execute("VACUUM \(raw: table)")
                report.tables.append(table)
            }
        }
        return report
    }

    /// Marks the heads that have no ready task left, so that claims need not look at them, and
    /// returns how many: the duty of empty heads.
    ///
    /// Whoever queues a task holds its head and takes the mark away: the heads are locked before
    /// the tasks are looked for.
    package func runEmptyHeads() async throws -> Int {
        try await withRetriedTransaction { connection in
            let heads = try await connection.query(
                """
                SELECT id FROM head WHERE NOT is_empty
                    AND NOT EXISTS (SELECT FROM ready WHERE ready.head_id = head.id)
                ORDER BY id LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED
                """
            ).map { try $0.decode("id", as: Int64.self) }
            guard !heads.isEmpty else { return 0 }
            return try await connection.execute(
                """
                UPDATE head SET is_empty = true WHERE id = ANY(\(heads)::bigint[])
                    AND NOT EXISTS (SELECT FROM ready WHERE ready.head_id = head.id)
                """
            )
        }
    }
}
