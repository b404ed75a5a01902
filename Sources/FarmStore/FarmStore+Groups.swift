package import FarmModel
import Postgres

extension FarmStore {
    /// Where the group of a row stands, as SQL.
    static let groupState = """
        CASE WHEN worker_group.state = 'ready' AND EXISTS (
                SELECT FROM lease JOIN worker ON worker.id = lease.worker_id
                WHERE worker.group_id = worker_group.id AND worker.group_rank = 0
            ) THEN 'busy' ELSE worker_group.state END
        """

    /// The columns of a `GroupRecord`; a WHERE follows.
    private static let selectGroup = """
        SELECT id, name, \(groupState) AS state,
            extract(epoch FROM now() - lacking_at)::double precision AS lacking_seconds, origin, pool, model_name, model_digest, precision, member_class, size, wanted_size, epoch,
            numeric_class, speed, created_at, formed_at, formation_seconds, expires_at, reason
        FROM worker_group
        """

    /// Whether a worker offers what the group of a row is made of, as SQL.
    static let suitsGroup = """
        (worker.joins_groups AND worker.pool = worker_group.pool
            AND worker.precision = worker_group.precision
            AND worker.model_digest = worker_group.model_digest
            AND coalesce(worker.own_class, worker.numeric_class) = worker_group.member_class
            AND coalesce(worker.offered_group = worker_group.name, worker_group.origin <> 'named'))
        """

    /// Whether it is there and may take part, too.
    static let fitsGroup = """
        (\(isAtWork) AND NOT \(isResting) AND \(suitsGroup))
        """

    /// Whether a worker is there and goes on taking tasks, as SQL.
    static let isAtWork = """
        (worker.state NOT IN ('lost', 'quarantined', 'draining', 'asleep')
            AND worker.desired_state = 'run' AND worker.instance <> '')
        """

    /// Whether a worker broke off so often that it takes no part for a while, as SQL.
    static let isResting = "coalesce(worker.group_unfit_until > now(), false)"

    /// Whether a member finishes what it holds and takes nothing new, as SQL: told to, or because its
    /// process is to end.
    static let isLeaving = """
        (member.desired_state IN ('drain', 'sleep') OR member.state IN ('draining', 'asleep'))
        """

    /// What a worker has that is in no group, as SQL.
    static let noSeat = """
        group_id = NULL, group_rank = NULL, group_phase = NULL, group_address = NULL,
            group_figures = NULL, group_missed_at = NULL, group_class = NULL, group_breaks = 0
        """

    /// Returns the groups by name, those that are dissolved only when asked for.
    package func groups(includingDissolved: Bool = false) async throws -> [GroupRecord] {
        try await pool.withConnection {
            try await groups(includingDissolved: includingDissolved, on: $0)
        }
    }

    /// Returns the group of an id or name, the live one of several; nil when there is none.
    package func group(_ name: String) async throws -> GroupRecord? {
        try await pool.withConnection { connection in
            let id = try await connection.query(
                """
                SELECT id FROM worker_group WHERE id::text = \(name) OR name = \(name)
                ORDER BY dissolved_at DESC NULLS FIRST, id::text = \(name) DESC LIMIT 1
                """
            ).first?.decode("id", as: GroupID.self)
            guard let id else { return nil }
            return try await group(id, on: connection)
        }
    }

    func groups(
        includingDissolved: Bool,
        on connection: PostgresConnection
    ) async throws -> [GroupRecord] {
        let members = try await members(of: nil, on: connection)
        return try await connection.query(
            """
            \(raw: Self.selectGroup) WHERE \(includingDissolved) OR state <> 'dissolved'
            ORDER BY name, created_at
            """
        ).map { try GroupRecord($0, members: members) }
    }

    func group(_ id: GroupID, on connection: PostgresConnection) async throws -> GroupRecord? {
        let row = try await connection.query("\(raw: Self.selectGroup) WHERE id = \(id)").first
        guard let row else { return nil }
        return try GroupRecord(row, members: try await members(of: id, on: connection))
    }

    private func members(
        of group: GroupID?,
        on connection: PostgresConnection
    ) async throws -> [GroupID: [GroupMemberRecord]] {
        let silence = 2 * configuration.heartbeat.inSeconds + 5
        let rows = try await connection.query(
            """
            SELECT worker.group_id, worker.group_rank, worker.id, worker.name, worker.group_phase,
                \(raw: Self.fitsGroup) AS is_fit,
                NOT \(raw: Self.suitsGroup) AS is_alien,
                \(raw: Self.isResting) AS is_resting, worker.instance <> ''
                    AND worker.state NOT IN ('lost', 'quarantined') AND EXISTS (
                        SELECT FROM worker AS member
                        WHERE member.id = worker.id AND \(raw: Self.isLeaving)
                    ) AS is_leaving,
                worker.group_missed_at IS NOT NULL AND worker.last_seen_at
                    < least(worker.group_missed_at, now() - make_interval(secs => \(silence)))
                    AS is_missed,
                (SELECT count(*) FROM lease WHERE lease.worker_id = worker.id) AS leases,
                worker.last_seen_at, worker.tags, worker.memory_bytes,
                worker.group_figures::text AS figures
            FROM worker JOIN worker_group ON worker_group.id = worker.group_id
            WHERE \(group)::uuid IS NULL OR worker.group_id = \(group)
            ORDER BY worker.group_id, worker.group_rank
            """
        )
        var members: [GroupID: [GroupMemberRecord]] = [:]
        for row in rows {
            members[try row.decode("group_id"), default: []].append(try GroupMemberRecord(row))
        }
        return members
    }

    // MARK: - What people ask for

    /// Makes a group that a person asks for, at once: its members finish what they hold first.
    package func formGroup(_ wish: GroupWish, by actor: String) async throws -> FormOutcome {
        let formation = try await pool.withConnection { try await self.formation(on: $0) }
        switch formation.team(for: wish) {
        case .failure(let refusal): return .refused(refusal.sentence)
        case .success(var team):
            team.origin = .operator
            if let name = wish.name { team.name = name }
            guard let group = try await form(team, by: actor) else {
                return .refused(
                    "the name '\(team.name)' is another group's, or a worker was just taken; "
                        + "ask again"
                )
            }
            return .formed(group)
        }
    }

    /// Lets a group finish what it holds and then end, or gives back at once what it holds.
    ///
    /// Returns the group as it stands then; nil where it is over already.
    package func dissolveGroup(
        _ id: GroupID,
        now isNow: Bool,
        by actor: String
    ) async throws -> GroupRecord? {
        try await withRetriedTransaction { connection in
            guard let group = try await lockGroup(id, on: connection) else { return nil }
            if group.state == .busy, !isNow {
                try await connection.execute(
                    "UPDATE worker_group SET state = 'draining' WHERE id = \(id)"
                )
                try await Self.recordAudit(
                    "group.drained",
                    id.description,
                    by: actor,
                    on: connection
                )
                try await Self.notify(.control, id.description, on: connection)
                log("Group is to drain", of: group, ["by": actor], on: connection)
            } else if group.state != .draining || isNow {
                try await dissolve(
                    group,
                    because: "asked for by \(actor)",
                    by: actor,
                    on: connection
                )
            }
            return try await self.group(id, on: connection)
        }
    }

    // MARK: - Making and ending

    /// Makes a group of workers that are free; nil where one of them is not any more, or its name
    /// is taken.
    func form(_ team: GroupTeam, by actor: String) async throws -> GroupRecord? {
        do {
            return try await withRetriedTransaction { try await form(team, by: actor, on: $0) }
        } catch is GroupTaken {
            return nil
        }
    }

    private func form(
        _ team: GroupTeam,
        by actor: String,
        on connection: PostgresConnection
    ) async throws -> GroupRecord? {
        let row = try await connection.query(
            """
            INSERT INTO worker_group (name, origin, pool, model_name, model_digest, precision,
                member_class, size, wanted_size, secret, starts_at, expires_at)
            VALUES (\(team.name), \(team.origin), \(team.pool), \(team.modelName),
                \(team.modelDigest), \(team.precision), \(team.memberClass),
                \(team.workers.count), \(team.workers.count), \(Self.newSecret()),
                now() + make_interval(secs => \(team.startSeconds)),
                CASE WHEN \(team.origin) = 'needed' THEN now() + make_interval(
                    secs => \(team.startSeconds + configuration.groupReservation.inSeconds)) END)
            ON CONFLICT DO NOTHING RETURNING id
            """
        ).first
        guard let row else { return nil }
        let id = try row.decode("id", as: GroupID.self)
        try await releaseAhead(of: team.workers, on: connection)
        let seated = try await connection.execute(
            """
            UPDATE worker SET group_id = worker_group.id, group_rank = seat.rank - 1,
                group_phase = 'reserved', group_missed_at = NULL
            FROM unnest(\(team.workers)::uuid[]) WITH ORDINALITY AS seat (worker_id, rank),
                worker_group
            WHERE worker.id = seat.worker_id AND worker_group.id = \(id)
                AND worker.group_id IS NULL AND \(raw: Self.fitsGroup)
            """
        )
        guard seated == team.workers.count else { throw GroupTaken() }
        try await Self.recordAudit(
            "group.formed",
            id.description,
            by: actor,
            ["name": team.name, "size": "\(seated)", "origin": team.origin.rawValue],
            on: connection
        )
        try await Self.notify(.control, id.description, on: connection)
        let group = try await group(id, on: connection)
        if let group {
            log(
                "Group formed",
                of: group,
                ["by": actor, "origin": team.origin.rawValue, "size": "\(seated)"],
                on: connection
            )
        }
        return group
    }

    /// Ends a group, whose row is locked: its members are free, and what it holds is given back.
    func dissolve(
        _ group: GroupRecord,
        because reason: String,
        by actor: String = "farm",
        on connection: PostgresConnection
    ) async throws {
        try await endLead(of: group, .released, on: connection)
        try await connection.execute(
            """
            UPDATE worker SET \(raw: Self.noSeat) WHERE group_id = \(group.id)
            """
        )
        try await connection.execute(
            """
            UPDATE worker_group SET state = 'dissolved', dissolved_at = now(), reason = \(reason)
            WHERE id = \(group.id)
            """
        )
        try await Self.recordAudit(
            "group.dissolved",
            group.id.description,
            by: actor,
            ["name": group.name, "reason": reason],
            on: connection
        )
        try await Self.notify(.ready, group.id.description, on: connection)
        log("Group dissolved", of: group, ["by": actor, "reason": reason], on: connection)
    }
}

/// A worker was taken while it was to have a seat: the transaction is undone.
struct GroupTaken: Error {}
