package import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// A head whose pictures are wanted by a moment.
    private struct WantedHead {
        var id: Int64
        var job: JobID
        var pictures: WantedPictures
    }

    /// Returns the group that pictures are for which would be late without it; nil where workers
    /// alone are to make them.
    package func groupDecision(about wanted: WantedPictures) async throws -> GroupDecision? {
        try await groupProspects().decision(about: wanted)
    }

    /// Makes jobs whose pictures would be late alone ask for a group, each once.
    ///
    /// It stays so, but where the moment has passed and no such group can be made any more: workers
    /// alone make what is left then.
    ///
    /// - Returns: How many jobs were changed.
    func groupLateJobs() async throws -> Int {
        let heads = try await wantedHeads()
        guard !heads.isEmpty else { return 0 }
        let prospects = try await groupProspects()
        var count = 0
        for head in heads {
            let size = head.pictures.requirement.groupSize
            if let decision = prospects.decision(about: head.pictures) {
                if try await ask(decision.ranks, for: head, decision.reason) { count += 1 }
            } else if size > 1, !prospects.canServe(head.pictures) {
                let reason =
                    "the moment has passed, and there are not enough workers any more for a group "
                    + "of \(size)"
                if try await ask(1, for: head, reason) { count += 1 }
            }
        }
        if count > 0 { desk.expire() }
        return count
    }

    private func groupProspects() async throws -> GroupProspects {
        let workers = try await workers()
        return try await pool.withConnection { connection in
            let now = try await connection.query("SELECT now() AS now").first
            guard let now else { throw FarmStoreError.vanished("the moment") }
            var prospects = GroupProspects(workers: workers, now: try now.decode("now"))
            prospects.formation.candidates = try await groupCandidates(
                includingSeated: true,
                on: connection
            )
            prospects.formation.groups = try await groups(
                includingDissolved: false,
                on: connection
            )
            prospects.links = try await poolLinks(on: connection)
            return prospects
        }
    }

    /// The heads that could still ask for a group, and those that did in vain; without those whose
    /// pictures' cost cannot be read.
    private func wantedHeads() async throws -> [WantedHead] {
        try await pool.query(
            """
            SELECT head.id, head.job_id, head.model_digest, head.precision, head.memory_bytes,
                head.pool, head.tags, head.group_size, job.finish_by,
                job.costliest_image::text AS image, model.cost_constants::text AS costs
            FROM job JOIN head ON head.job_id = job.id
            JOIN model ON model.digest = job.model_digest
            WHERE job.finish_by IS NOT NULL AND job.finished_at IS NULL
                AND NOT head.is_empty AND head.blocked_by IS NULL
                AND CASE WHEN job.finish_by > now() THEN head.group_size = 1
                    ELSE head.group_size > 1 AND head.group_reason IS NOT NULL END
                AND head.numeric_class IS NULL AND NOT head.awaits_class
                AND EXISTS (SELECT FROM ready WHERE ready.head_id = head.id)
                AND NOT EXISTS (SELECT FROM farm WHERE is_paused)
            ORDER BY head.id
            """
        ).compactMap { row in
            let image = try row.decode("image", as: String.self)
            guard let image = try? FarmJSON.decode(ImageCost.self, from: image) else { return nil }
            let costs = try row.decode("costs", as: String.self)
            return WantedHead(
                id: try row.decode("id"),
                job: try row.decode("job_id"),
                pictures: WantedPictures(
                    modelDigest: try row.decode("model_digest"),
                    requirement: try TaskRequirement(row),
                    image: image,
                    costs: (try? FarmJSON.decode(CostConstants.self, from: costs)) ?? .assumed,
                    finishBy: try row.decode("finish_by")
                )
            )
        }
    }

    /// Writes that a head asks for groups of a size, of one worker too; false where it was changed
    /// meanwhile, or its class is fixed.
    private func ask(
        _ ranks: Int,
        for head: WantedHead,
        _ reason: String
    ) async throws -> Bool {
        try await withRetriedTransaction { connection in
            _ = try await Self.lockHeads(of: head.job, on: connection)
            guard let state = try await Self.lockJob(head.job, on: connection), !state.isFinal
            else { return false }
            let changed = try await connection.execute(
                """
                UPDATE head SET group_size = \(ranks),
                    group_reason = CASE WHEN \(ranks) > 1 THEN \(reason) END
                WHERE id = \(head.id) AND group_size = \(head.pictures.requirement.groupSize)
                    AND numeric_class IS NULL AND NOT awaits_class
                """
            )
            guard changed == 1 else { return false }
            var data = EventData()
            data.reason = reason
            data.count = ranks
            try await Self.recordEvent(.jobGrouped, of: head.job, data, on: connection)
            try await Self.recordAudit(
                "job.grouped",
                head.job.description,
                by: "farm",
                ["size": "\(ranks)", "reason": reason],
                on: connection
            )
            try await Self.notify(.ready, head.job.description, on: connection)
            log(
                "Job asks for groups",
                ["job": "\(head.job)", "size": "\(ranks)", "reason": reason],
                on: connection
            )
            return true
        }
    }

    // MARK: - What networks give

    private func poolLinks(
        on connection: PostgresConnection
    ) async throws -> [String: CostModel.Link] {
        let rows = try await connection.query(
            "SELECT pool, latency_seconds, bytes_per_second FROM pool_link"
        )
        return try rows.reduce(into: [:]) { links, row in
            links[try row.decode("pool")] = CostModel.Link(
                latency: try row.decode("latency_seconds"),
                bytesPerSecond: try row.decode("bytes_per_second")
            )
        }
    }

    /// Keeps what the members of a group that became ready measured of their network, the worst of
    /// each: it outlives the group.
    func keepLink(of group: GroupRecord, on connection: PostgresConnection) async throws {
        try await connection.execute(
            """
            INSERT INTO pool_link (pool, latency_seconds, bytes_per_second)
            SELECT \(group.pool), max(told.latency), min(told.bandwidth)
            FROM worker CROSS JOIN LATERAL (
                SELECT (group_figures ->> 'latency_seconds')::double precision AS latency,
                    (group_figures ->> 'bytes_per_second')::double precision AS bandwidth
            ) AS told
            WHERE worker.group_id = \(group.id) AND told.latency >= 0 AND told.bandwidth > 0
            HAVING count(*) > 0
            ON CONFLICT (pool) DO UPDATE SET latency_seconds = excluded.latency_seconds,
                bytes_per_second = excluded.bytes_per_second, measured_at = now()
            """
        )
    }
}
