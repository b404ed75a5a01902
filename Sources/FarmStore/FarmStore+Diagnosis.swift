import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// Reads the farm as far as it decides what waits: a few queries, those of claims where what is
    /// read is the same.
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
        let heads = try await waitingHeads(on: connection)
        var view = QueueView()
        view.isFarmPaused = try farm?.decode("is_paused") ?? false
        view.pausedPools = Set(try farm?.decode("pools", as: [String].self) ?? [])
        view.workers = try await capabilities(on: connection)
        view.owners = try await owners(on: connection)
        view.limits = try await limitCounts(of: heads.map(\.head), on: connection)
        view.blocks = try await self.blocks(of: Set(heads.map(\.head.job)), on: connection)
        view.liftVainBlocks(of: heads.map(\.head))
        view.formation = try await formation(on: connection)
        return WaitingDiagnosis(
            view: view,
            heads: heads.map { waiting in
                var waiting = waiting
                waiting.head = view.withQuota(view.withAlone(waiting.head))
                return waiting
            },
            blobs: blobs
        )
    }

    /// The heads under which tasks wait, blocked ones too.
    private func waitingHeads(on connection: PostgresConnection) async throws -> [WaitingHead] {
        try await connection.query(
            """
            SELECT head.id, head.job_id, head.owner, head.priority, head.is_lifted,
                head.model_digest, head.precision, head.memory_bytes, head.pool, head.tags,
                head.limits, head.group_size, head.max_workers, head.numeric_class, head.awaits_class,
                coalesce(head.served_at, head.queued_at) AS served_at, 0 AS first,
                0::double precision AS cost, coalesce((
                    SELECT CASE WHEN is_narrow THEN 1 ELSE image_count END FROM ready
                    WHERE ready.head_id = head.id ORDER BY number LIMIT 1
                ), 1) AS images, head.blocked_by, head.group_reason, job.model_name,
                job.start_after, queued.ready, coalesce(held.workers, '{}') AS workers, '{}'::text[] AS avoided,
                ARRAY(SELECT coalesce(before.name, wanted.id::text)
                    FROM unnest(job.after_jobs) WITH ORDINALITY AS wanted (id, place)
                    LEFT JOIN job AS before ON before.id = wanted.id
                    WHERE before.state IS DISTINCT FROM 'succeeded'
                    ORDER BY wanted.place) AS dependencies
            FROM (
                SELECT head_id, sum(ready) AS ready FROM (
                    SELECT head_id, count(*) AS ready FROM ready GROUP BY head_id
                    UNION ALL SELECT head_id, 0 FROM resting GROUP BY head_id
                ) AS place GROUP BY head_id
            ) AS queued
            JOIN head ON head.id = queued.head_id JOIN job ON job.id = head.job_id
            LEFT JOIN (
                SELECT job_id, array_agg(DISTINCT worker_id) AS workers FROM lease
                GROUP BY job_id
            ) AS held ON held.job_id = job.id
            ORDER BY head.id
            """
        ).map { row in
            WaitingHead(
                head: try HeadView(row),
                modelName: try row.decode("model_name"),
                block: try row.decodeIfPresent("blocked_by", as: String.self)
                    .flatMap(WaitingHead.Block.init),
                dependencies: try row.decode("dependencies"),
                startAfter: try row.decodeIfPresent("start_after"),
                groupReason: try row.decodeIfPresent("group_reason"),
                ready: try row.decode("ready")
            )
        }
    }
}
