import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// Reads the farm as far as it decides what waits: four queries.
    func diagnosis(
        _ blobs: BlobRoom?,
        on connection: PostgresConnection
    ) async throws -> WaitingDiagnosis {
        let farm = try await connection.query(
            """
            SELECT farm.is_paused,
                ARRAY(SELECT name FROM pool WHERE is_paused ORDER BY name) AS pools
            FROM farm
            """
        ).first
        return WaitingDiagnosis(
            isFarmPaused: try farm?.decode("is_paused") ?? false,
            pausedPools: Set(try farm?.decode("pools", as: [String].self) ?? []),
            workers: try await waitingWorkers(on: connection),
            heads: try await waitingHeads(on: connection),
            shares: try await ownerShares(on: connection),
            blobs: blobs
        )
    }

    /// The workers that may take tasks now.
    func waitingWorkers(on connection: PostgresConnection) async throws -> [WaitingWorker] {
        try await connection.query(
            """
            SELECT name, model_digest, precision, memory_bytes, pool, tags, numeric_class
            FROM worker
            WHERE state IN ('starting', 'idle', 'busy') AND desired_state = 'run'
            ORDER BY name
            """
        ).map { row in
            WaitingWorker(
                name: try row.decode("name"),
                modelDigest: try row.decode("model_digest"),
                precision: try row.decode("precision"),
                memory: try row.decode("memory_bytes"),
                pool: try row.decode("pool"),
                tags: Set(try row.decode("tags", as: [String].self)),
                numericClass: try row.decode("numeric_class")
            )
        }
    }

    /// The heads under which tasks wait, blocked ones too.
    private func waitingHeads(on connection: PostgresConnection) async throws -> [WaitingHead] {
        try await connection.query(
            """
            SELECT head.id, head.job_id, head.owner, head.priority, head.is_lifted,
                head.model_digest, head.precision, head.memory_bytes, head.pool, head.tags,
                head.group_size, head.max_workers, head.numeric_class, head.blocked_by,
                job.model_name, job.start_after, queued.ready,
                coalesce(held.workers, 0) AS workers_at_it,
                ARRAY(SELECT coalesce(before.name, wanted.id::text)
                    FROM unnest(job.after_jobs) WITH ORDINALITY AS wanted (id, place)
                    LEFT JOIN job AS before ON before.id = wanted.id
                    WHERE before.state IS DISTINCT FROM 'succeeded'
                    ORDER BY wanted.place) AS dependencies,
                ARRAY(SELECT worker_name FROM worker_block
                    WHERE worker_block.job_id = job.id) AS blocked
            FROM (
                SELECT head_id, sum(ready) AS ready FROM (
                    SELECT head_id, count(*) AS ready FROM ready GROUP BY head_id
                    UNION ALL SELECT head_id, 0 FROM resting GROUP BY head_id
                ) AS place GROUP BY head_id
            ) AS queued
            JOIN head ON head.id = queued.head_id JOIN job ON job.id = head.job_id
            LEFT JOIN (
                SELECT job_id, count(DISTINCT worker_id) AS workers FROM lease GROUP BY job_id
            ) AS held ON held.job_id = job.id
            ORDER BY head.id
            """
        ).map(waitingHead)
    }

    private func waitingHead(_ row: Row) throws -> WaitingHead {
        WaitingHead(
            id: try row.decode("id"),
            job: try row.decode("job_id"),
            owner: try row.decode("owner"),
            priority: try row.decode("priority"),
            isLifted: try row.decode("is_lifted"),
            requirement: WaitingRequirement(
                modelName: try row.decode("model_name"),
                modelDigest: try row.decode("model_digest"),
                requirements: JobRequirements(
                    precision: try row.decodeIfPresent("precision"),
                    memoryBytes: try row.decodeIfPresent("memory_bytes"),
                    group: try row.decode("group_size"),
                    pool: try row.decodeIfPresent("pool"),
                    tags: try row.decode("tags")
                ),
                numericClass: try row.decodeIfPresent("numeric_class"),
                blockedWorkers: Set(try row.decode("blocked", as: [String].self))
            ),
            maxWorkers: try row.decodeIfPresent("max_workers"),
            block: try row.decodeIfPresent("blocked_by", as: String.self)
                .flatMap(WaitingHead.Block.init),
            dependencies: try row.decode("dependencies"),
            startAfter: try row.decodeIfPresent("start_after"),
            ready: try row.decode("ready"),
            workersAtIt: try row.decode("workers_at_it")
        )
    }

    /// What each owner was charged and holds now, over its weight.
    private func ownerShares(on connection: PostgresConnection) async throws -> [String: Double] {
        let rows = try await connection.query(
            """
            SELECT account.owner, (
                coalesce((SELECT sum(charge * power(0.5, least(1000, greatest(0,
                        extract(epoch FROM now() - charged_at))::double precision
                            / \(configuration.chargeHalfLife.inSeconds)::double precision)))
                    FROM account_usage WHERE account_usage.owner = account.owner), 0)
                + coalesce((SELECT sum(cost) FROM lease WHERE lease.owner = account.owner), 0)
            ) / account.weight AS share
            FROM account
            """
        )
        var shares: [String: Double] = [:]
        for row in rows { shares[try row.decode("owner")] = try row.decode("share") }
        return shares
    }
}
