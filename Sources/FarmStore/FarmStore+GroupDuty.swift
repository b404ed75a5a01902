import FarmModel
import Postgres

extension FarmStore {
    /// How long a group that is over is shown.
    private static let dissolvedKept: Duration = .seconds(7 * 86_400)

    /// Lets jobs that are late without one ask for a group, makes the groups that are named or
    /// needed, fills the seats of members that are gone, and
    /// ends the groups that nothing needs: the groups duty, to be run every second or so.
    package func runGroups() async throws -> GroupReport {
        var report = GroupReport()
        let live = try await pool.query(
            "SELECT id FROM worker_group WHERE state <> 'dissolved' ORDER BY id"
        ).map { try $0.decode("id", as: GroupID.self) }
        for id in live {
            do {
                try await withRetriedTransaction { connection in
                    guard let group = try await lockGroup(id, on: connection) else { return }
                    try await tend(group, &report, on: connection)
                }
            } catch is GroupTaken {
                // The next run finds another spare.
                continue
            }
        }
        var failure: (any Error)?
        do {
            report.grouped = try await groupLateJobs()
        } catch {
            // Groups are made nevertheless.
            failure = error
        }
        let formation = try await pool.withConnection { try await self.formation(on: $0) }
        for team in formation.teams() {
            do {
                if try await form(team, by: "farm") != nil { report.formed += 1 }
            } catch {
                // The others are made nevertheless.
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        try await pool.execute(
            """
            DELETE FROM worker_group WHERE dissolved_at
                < now() - make_interval(secs => \(Self.dissolvedKept.inSeconds))
            """
        )
        return report
    }

    private func tend(
        _ group: GroupRecord,
        _ report: inout GroupReport,
        on connection: PostgresConnection
    ) async throws {
        switch group.state {
        case .draining:
            guard group.leader.map({ $0.leases == 0 }) ?? true else { return }
            let starving = try await starving(under: group, on: connection)
            try await dissolve(group, because: group.reason ?? "drained", on: connection)
            if starving == .single { try await rest(group, on: connection) }
            report.dissolved += 1
        case .forming: try await tendForming(group, &report, on: connection)
        case .ready, .busy: try await tendReady(group, &report, on: connection)
        case .dissolved: return
        }
    }

    /// Ends the epoch of a group with a member that is gone; one that only is to take nothing new
    /// may finish first.
    private func tendReady(
        _ group: GroupRecord,
        _ report: inout GroupReport,
        on connection: PostgresConnection
    ) async throws {
        let gone = group.unfit.filter { !($0.isLeaving && group.state == .busy) }
        guard gone.isEmpty else {
            if try await isUseless(group, atOnce: true, on: connection) {
                return try await dissolveUnused(group, gone, &report, on: connection)
            }
            return try await renew(group, gone, &report, on: connection)
        }
        if try await grow(group, &report, on: connection) { return }
        let starving = try await starving(under: group, on: connection)
        var reason = "nothing waited for it"
        if let starving {
            reason = starving.reason
        } else {
            guard try await isUseless(group, on: connection) else { return }
        }
        if group.state == .busy {
            // What it holds is finished first.
            try await connection.execute(
                """
                UPDATE worker_group SET state = 'draining', reason = \(reason)
                WHERE id = \(group.id)
                """
            )
            return
        }
        try await dissolve(group, because: reason, on: connection)
        if starving == .single { try await rest(group, on: connection) }
        report.dissolved += 1
    }

    /// Lets a group that lacked members have as many as were asked for, where enough are idle.
    private func grow(
        _ group: GroupRecord,
        _ report: inout GroupReport,
        on connection: PostgresConnection
    ) async throws -> Bool {
        guard group.size < group.wantedSize, group.state == .ready else { return false }
        let ranks = Array(group.size..<group.wantedSize)
        var formation = GroupFormation()
        formation.candidates = try await groupCandidates(on: connection)
            .filter { $0.endSeconds == 0 }
        let spares = formation.spares(for: group, ranks: ranks, of: group.wantedSize)
        guard spares.count == ranks.count else { return false }
        try await connection.execute(
            "UPDATE worker_group SET size = wanted_size WHERE id = \(group.id)"
        )
        try await endEpoch(
            of: group,
            because: "it has \(group.wantedSize) members again",
            spares: spares,
            on: connection
        )
        report.renewed += 1
        return true
    }

    private func tendForming(
        _ group: GroupRecord,
        _ report: inout GroupReport,
        on connection: PostgresConnection
    ) async throws {
        let state = try await connection.query(
            """
            SELECT coalesce(expires_at < now(), false) AS is_over, coalesce(
                    lacking_at < now() - make_interval(secs => \(2 * configuration.lease.inSeconds)),
                    false) AS lacks_long
            FROM worker_group WHERE id = \(group.id)
            """
        ).first
        guard let state else { return }
        if try state.decode("is_over") {
            try await dissolve(
                group,
                because: "its members were not ready in time",
                on: connection
            )
            report.dissolved += 1
            return
        }
        let gone = group.members.filter { !$0.isFit || $0.isMissed }
        guard !gone.isEmpty else {
            try await connection.execute(
                """
                UPDATE worker_group SET lacking_at = NULL
                WHERE id = \(group.id) AND lacking_at IS NOT NULL
                """
            )
            return
        }
        if try await isUseless(group, atOnce: true, on: connection) {
            return try await dissolveUnused(group, gone, &report, on: connection)
        }
        if try await renewWithSpares(group, gone, &report, on: connection) { return }
        if gone.contains(where: \.isAlien) {
            try await dissolve(group, because: Self.reason(gone), on: connection)
            report.dissolved += 1
            return
        }
        let staying = group.members.filter { member in !gone.contains(member) }
        guard try state.decode("lacks_long"),
            try await canShrink(group, to: staying, on: connection)
        else {
            try await connection.execute(
                """
                UPDATE worker_group SET lacking_at = now()
                WHERE id = \(group.id) AND lacking_at IS NULL
                """
            )
            return
        }
        try await shrink(group, to: staying, on: connection)
        report.shrunk += 1
    }

    // MARK: - Seats

    private func renew(
        _ group: GroupRecord,
        _ gone: [GroupMemberRecord],
        _ report: inout GroupReport,
        on connection: PostgresConnection
    ) async throws {
        if try await renewWithSpares(group, gone, &report, on: connection) { return }
        try await endEpoch(of: group, because: Self.reason(gone), on: connection)
        report.renewed += 1
    }

    /// Gives seats of members that are gone to spares; false where there is none.
    private func renewWithSpares(
        _ group: GroupRecord,
        _ gone: [GroupMemberRecord],
        _ report: inout GroupReport,
        on connection: PostgresConnection
    ) async throws -> Bool {
        var formation = GroupFormation()
        formation.candidates = try await groupCandidates(on: connection)
        if gone.contains(where: { $0.rank == 0 }) {
            formation.needs = try await groupNeeds(on: connection)
        }
        let spares = formation.spares(for: group, ranks: gone.map(\.rank))
        guard !spares.isEmpty else { return false }
        try await endEpoch(
            of: group,
            because: Self.reason(gone),
            spares: spares,
            on: connection
        )
        report.renewed += 1
        return true
    }

    private static func reason(_ gone: [GroupMemberRecord]) -> String {
        let names = gone.map(\.name).joined(separator: ", ")
        return gone.count == 1
            ? "the worker \(names) is not there" : "the workers \(names) are not there"
    }

    // MARK: - Fewer members

    /// Whether a group that lacks members may go on with those that are there: where what waits for
    /// it takes any class, and a larger slice fits.
    private func canShrink(
        _ group: GroupRecord,
        to members: [GroupMemberRecord],
        on connection: PostgresConnection
    ) async throws -> Bool {
        guard members.count > 1 else { return false }
        let row = try await connection.query(
            """
            SELECT EXISTS (
                SELECT FROM head WHERE head.model_digest = \(group.modelDigest)
                    AND NOT is_empty AND blocked_by IS NULL
                    AND head.group_size IN (1, \(group.wantedSize))
                    AND head.numeric_class IS NULL AND NOT head.awaits_class
                    AND (head.pool IS NULL OR head.pool = \(group.pool))
                    AND (head.precision IS NULL OR head.precision = \(group.precision))
                    AND EXISTS (SELECT FROM ready WHERE ready.head_id = head.id)
            ) AND NOT EXISTS (
                SELECT FROM worker WHERE id = ANY(\(members.map(\.worker))::uuid[])
                    AND memory_bytes > 0 AND sharded_bytes / \(members.count)
                        + replicated_bytes + working_bytes > memory_bytes
            ) AS can_shrink
            """
        ).first
        return try row?.decode("can_shrink") ?? false
    }

    private func shrink(
        _ group: GroupRecord,
        to members: [GroupMemberRecord],
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            UPDATE worker SET \(raw: Self.noSeat)
            WHERE group_id = \(group.id) AND NOT id = ANY(\(members.map(\.worker))::uuid[])
            """
        )
        try await connection.execute(
            """
            UPDATE worker SET group_rank = seat.rank - 1
            FROM unnest(\(members.map(\.worker))::uuid[]) WITH ORDINALITY AS seat (id, rank)
            WHERE worker.id = seat.id
            """
        )
        try await connection.execute(
            """
            UPDATE worker_group SET size = \(members.count), lacking_at = NULL
            WHERE id = \(group.id)
            """
        )
        let reason = "it goes on with \(members.count) of \(group.wantedSize) members"
        try await endEpoch(of: group, because: reason, on: connection)
        try await Self.recordAudit(
            "group.shrunk",
            group.id.description,
            by: "farm",
            ["name": group.name, "reason": reason],
            on: connection
        )
    }

    // MARK: - Groups that nothing needs

    /// Dissolves a group that lost members and has nothing to do: spares are for other work.
    private func dissolveUnused(
        _ group: GroupRecord,
        _ gone: [GroupMemberRecord],
        _ report: inout GroupReport,
        on connection: PostgresConnection
    ) async throws {
        let reason = Self.reason(gone) + ", and nothing waited for it"
        try await dissolve(group, because: reason, on: connection)
        report.dissolved += 1
    }

    /// Whether a needed group had nothing to do for long enough: for a while where something waits
    /// for its members alone, else for a longer one; or `atOnce`, where it lacks members anyway.
    private func isUseless(
        _ group: GroupRecord,
        atOnce: Bool = false,
        on connection: PostgresConnection
    ) async throws -> Bool {
        guard group.origin == .needed else { return false }
        let own = "'\(group.id)'"
        let row = try await connection.query(
            """
            WITH waiting AS (
                SELECT head.group_size,
                    \(raw: Self.isRenderedAlone(without: own, inClass: true)) AS is_single,
                    head.numeric_class IS NULL OR \(group.numericClass) = ''
                        OR head.numeric_class = \(group.numericClass) AS is_of_class
                FROM head
                WHERE head.model_digest = \(group.modelDigest)
                    AND (head.pool IS NULL OR head.pool = \(group.pool))
                    AND (head.precision IS NULL OR head.precision = \(group.precision))
                    AND head.tags <@ \(Array(group.leader?.tags ?? []))::text[]
                    AND coalesce(head.memory_bytes, 0) <= \(group.leader?.memory ?? 0)
                    AND (head.group_size IN (1, \(group.size))
                        OR (head.group_size = \(group.wantedSize) AND head.numeric_class IS NULL
                            AND NOT head.awaits_class))
                    AND (EXISTS (SELECT FROM lease WHERE lease.head_id = head.id
                            AND lease.worker_id = \(group.leader?.worker))
                        OR NOT is_empty AND blocked_by IS NULL
                            AND EXISTS (SELECT FROM ready WHERE ready.head_id = head.id))
            ), use AS (
                SELECT EXISTS (
                    SELECT FROM waiting
                    WHERE is_of_class AND (group_size > 1 OR NOT is_single)
                ) AS is_used
            ), noted AS (
                UPDATE worker_group SET idle_at = CASE WHEN use.is_used THEN NULL
                    ELSE coalesce(idle_at, now()) END
                FROM use WHERE id = \(group.id)
                    AND use.is_used = (idle_at IS NOT NULL)
            )
            SELECT NOT use.is_used AND (\(atOnce) OR coalesce(
                idle_at < now() - CASE WHEN EXISTS (SELECT FROM waiting WHERE is_single AND group_size = 1)
                    THEN make_interval(secs => \(configuration.groupIdle.inSeconds))
                    ELSE make_interval(secs => \(configuration.groupRest.inSeconds)) END, false))
                AS is_useless
            FROM worker_group, use WHERE id = \(group.id)
            """
        ).first
        return try row?.decode("is_useless") ?? false
    }
}
