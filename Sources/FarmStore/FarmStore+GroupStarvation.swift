import FarmModel
import Postgres

/// What waits too long for the members of a group that is kept busy.
enum StarvingWork: Sendable, Hashable {
    /// Tasks of one worker, which a member would render alone.
    case single
    /// Tasks of a group that its members would make with others, or some of them.
    case group

    /// Why the group ends.
    var reason: String {
        switch self {
        case .single: "tasks waited too long for one of its workers alone"
        case .group: "tasks waited too long for a group of another size"
        }
    }
}

extension FarmStore {
    /// How long workers that were taken out of a group for tasks of one worker take no part in
    /// another: long enough to read the whole model, and to claim.
    private static let singlesSeconds = 120.0

    /// Whether a head was not served for longer than the age bound, as SQL; copies of audited pictures
    /// have no such bound.
    var isStarving: String {
        """
        (coalesce(head.served_at, head.queued_at)
            < now() - make_interval(secs => \(configuration.ageBound.inSeconds))
            AND head.owner <> '\(FarmOwner.audits)')
        """
    }

    /// What was not served for longer than the age bound since a needed group has its workers; nil
    /// where nothing was, or the group has not been there for so long itself.
    func starving(
        under group: GroupRecord,
        on connection: PostgresConnection
    ) async throws -> StarvingWork? {
        guard group.origin == .needed else { return nil }
        let own = "'\(group.id)'"
        let rows = try await connection.query(
            """
            SELECT head.model_digest, head.precision, head.memory_bytes, head.pool, head.tags,
                head.group_size, head.numeric_class, head.awaits_class
            FROM head JOIN worker_group ON worker_group.id = \(group.id)
            WHERE head.model_digest = \(group.modelDigest) AND \(raw: isStarving)
                AND worker_group.formed_at
                    < now() - make_interval(secs => \(configuration.ageBound.inSeconds))
                AND NOT is_empty AND blocked_by IS NULL
                AND NOT EXISTS (SELECT FROM farm WHERE is_paused)
                AND NOT EXISTS (SELECT FROM pool WHERE pool.is_paused
                    AND pool.name IN (head.pool, worker_group.pool))
                AND (head.max_workers IS NULL OR head.max_workers > (
                    SELECT count(DISTINCT worker_id) FROM lease WHERE lease.job_id = head.job_id
                ))
                AND EXISTS (SELECT FROM ready WHERE ready.head_id = head.id)
                AND \(raw: Self.isUnbounded)
                AND (head.group_size > 1
                    OR NOT \(raw: Self.isRenderedAlone(inClass: true))
                        AND \(raw: Self.isRenderedAlone(without: own, inClass: true)))
            ORDER BY head.id LIMIT \(Placement.width)
            """
        )
        guard !rows.isEmpty else { return nil }
        var formation = try await formation(on: connection)
        let members = Set(group.members.map(\.worker))
        formation.candidates += try await groupCandidates(includingSeated: true, on: connection)
            .filter { members.contains($0.id) }
        let others = formation.groups.filter { $0.id != group.id }
        for row in rows {
            let need = TaskDemand(
                modelDigest: try row.decode("model_digest"),
                requirement: try TaskRequirement(row),
                numericClass: try row.decodeIfPresent("numeric_class"),
                awaitsClass: try row.decode("awaits_class")
            )
            guard !formation.serves(group, need) else { continue }
            if need.requirement.groupSize == 1 { return .single }
            let isServed = others.contains { formation.serves($0, need) }
            if !isServed, formation.team(for: need) != nil { return .group }
        }
        return nil
    }

    /// Keeps the workers of a group that is over from the next one for a while.
    func rest(_ group: GroupRecord, on connection: PostgresConnection) async throws {
        try await connection.execute(
            """
            UPDATE worker
            SET group_unfit_until = now() + make_interval(secs => \(Self.singlesSeconds))
            WHERE id = ANY(\(group.members.map(\.worker))::uuid[])
            """
        )
    }
}
