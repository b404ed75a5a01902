import Postgres

/// A named set of workers.
package struct PoolRecord: Sendable, Hashable {
    package let name: String
    package let isPaused: Bool
    /// How many of its workers are not lost.
    package let workers: Int
    /// How many leases they hold.
    package let leases: Int

    init(_ row: Row) throws {
        name = try row.decode("name")
        isPaused = try row.decode("is_paused")
        workers = try row.decode("workers")
        leases = try row.decode("leases")
    }
}

/// What is true of the farm as a whole.
package struct FarmRecord: Sendable, Hashable {
    package let isPaused: Bool
    /// The id in the blob store's probe; nil before the first start.
    package let blobStoreID: String?
}

extension FarmStore {
    /// Returns the pools that have workers or were ever paused, by name.
    package func pools() async throws -> [PoolRecord] {
        try await pool.query(
            """
            SELECT name, coalesce(bool_or(is_paused), false) AS is_paused,
                count(DISTINCT worker) AS workers, count(lease.task_id) AS leases
            FROM (
                SELECT name, is_paused, NULL::uuid AS worker FROM pool
                UNION ALL
                SELECT pool, NULL, id FROM worker WHERE state <> 'lost'
            ) AS known LEFT JOIN lease ON lease.worker_id = known.worker
            GROUP BY name ORDER BY name
            """
        ).map(PoolRecord.init)
    }

    /// Lets a pool's workers take nothing new, or lets them again; false where no worker ever was
    /// in the pool.
    package func setPoolPaused(
        _ name: String,
        _ isPaused: Bool,
        by actor: String
    ) async throws -> Bool {
        try await withRetriedTransaction { connection in
            let count = try await connection.execute(
                """
                INSERT INTO pool (name, is_paused) SELECT \(name), \(isPaused)
                WHERE EXISTS (SELECT FROM worker WHERE pool = \(name))
                    OR EXISTS (SELECT FROM pool WHERE name = \(name))
                ON CONFLICT (name) DO UPDATE SET is_paused = excluded.is_paused
                """
            )
            guard count > 0 else { return false }
            try await Self.recordAudit(
                isPaused ? "pool.paused" : "pool.resumed",
                name,
                by: actor,
                on: connection
            )
            try await Self.notify(isPaused ? .control : .ready, "pool", on: connection)
            return true
        }
    }

    /// Lets every worker take nothing new, or lets them again.
    package func setFarmPaused(_ isPaused: Bool, by actor: String) async throws {
        try await withRetriedTransaction { connection in
            try await connection.execute("UPDATE farm SET is_paused = \(isPaused)")
            try await Self.recordAudit(
                isPaused ? "farm.paused" : "farm.resumed",
                "farm",
                by: actor,
                on: connection
            )
            try await Self.notify(isPaused ? .control : .ready, "farm", on: connection)
        }
    }

    /// Returns what is true of the farm as a whole.
    package func farmRecord() async throws -> FarmRecord {
        let row = try await pool.query("SELECT is_paused, blob_store_id FROM farm").first
        guard let row else { throw FarmStoreError.vanished("the farm's one row") }
        return FarmRecord(
            isPaused: try row.decode("is_paused"),
            blobStoreID: try row.decodeIfPresent("blob_store_id")
        )
    }

    /// Keeps the id of the blob store when none is kept yet, and returns the one that stands.
    package func recordBlobStoreID(_ id: String) async throws -> String {
        let row = try await pool.query(
            """
            UPDATE farm SET blob_store_id = coalesce(blob_store_id, \(id))
            RETURNING blob_store_id
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the farm's one row") }
        return try row.decode("blob_store_id")
    }
}
