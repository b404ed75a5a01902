import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// After how many epochs in a row that end by its fault a member takes no part for a while.
    private static let mostBreaks = 3
    /// How long that is.
    private static let restSeconds = 300.0

    /// 32 random bytes in base64.
    static func newSecret() -> String { Data(randomBytes()).base64EncodedString() }

    /// Locks a group that is not over, before anything else is locked.
    func lockGroup(_ id: GroupID, on connection: PostgresConnection) async throws -> GroupRecord? {
        let isThere =
            try await connection.query(
                """
                SELECT FROM worker_group WHERE id = \(id) AND state <> 'dissolved' FOR UPDATE
                """
            ).count == 1
        return isThere ? try await group(id, on: connection) : nil
    }

    /// Ends the epoch of the group in which a worker sits, whose process is gone or is to go.
    func endEpoch(
        ofWorker id: WorkerID,
        because reason: String,
        on connection: PostgresConnection
    ) async throws {
        let seat = try await connection.query(
            "SELECT group_id, name FROM worker WHERE id = \(id) AND group_id IS NOT NULL"
        ).first
        guard let seat,
            let group = try await lockGroup(try seat.decode("group_id"), on: connection),
            group.members.contains(where: { $0.worker == id })
        else { return }
        let name = try seat.decode("name", as: String.self)
        try await endEpoch(of: group, because: "the worker \(name) \(reason)", on: connection)
    }

    /// Ends the epoch of a group, whose row is locked: what its first rank holds is given back
    /// without counting as a failure, but as the loss of a member, and its members are to find each
    /// other anew; `spares` take the seats of ranks, and the group starts when the last of them has
    /// finished what it is at.
    func endEpoch(
        of group: GroupRecord,
        because reason: String,
        spares: [Int: GroupCandidate] = [:],
        on connection: PostgresConnection
    ) async throws {
        guard group.state != .draining else {
            return try await dissolve(group, because: reason, on: connection)
        }
        try await endLead(of: group, .memberLost(reason), on: connection)
        try await releaseAhead(of: spares.values.map(\.id), on: connection)
        let start = spares.values.map(\.endSeconds).max() ?? 0
        for (rank, spare) in spares.sorted(by: { $0.key < $1.key }) {
            try await connection.execute(
                """
                UPDATE worker SET \(raw: Self.noSeat)
                WHERE group_id = \(group.id) AND group_rank = \(rank)
                """
            )
            let seated = try await connection.execute(
                """
                UPDATE worker SET group_id = \(group.id), group_rank = \(rank),
                    group_phase = 'reserved', group_missed_at = NULL
                WHERE id = \(spare.id) AND group_id IS NULL
                """
            )
            guard seated == 1 else { throw GroupTaken() }
        }
        try await connection.execute(
            """
            UPDATE worker SET group_phase = 'reserved', group_address = NULL, group_figures = NULL,
                group_class = NULL
            WHERE group_id = \(group.id)
            """
        )
        try await connection.execute(
            """
            UPDATE worker_group SET state = 'forming', epoch = epoch + 1, epoch_at = now(),
                secret = \(Self.newSecret()), numeric_class = '', speed = 0,
                formation_seconds = NULL, idle_at = NULL, reason = \(reason),
                starts_at = CASE WHEN \(start > 0)::boolean THEN greatest(starts_at,
                    now() + make_interval(secs => \(start))) ELSE starts_at END,
                expires_at = CASE WHEN state = 'forming' AND NOT \(start > 0)::boolean THEN expires_at
                    WHEN origin = 'needed' THEN greatest(expires_at, now() + make_interval(
                        secs => \(start + configuration.groupReservation.inSeconds))) END
            WHERE id = \(group.id)
            """
        )
        try await Self.recordAudit(
            "group.epoch_ended",
            group.id.description,
            by: "farm",
            ["name": group.name, "epoch": "\(group.epoch)", "reason": reason],
            on: connection
        )
        try await Self.notify(.control, group.id.description, on: connection)
        log("Group's epoch ended", of: group, ["reason": reason], on: connection)
    }

    /// Gives back what a group holds, and its first rank's worker its own class and speed.
    func endLead(
        of group: GroupRecord,
        _ end: AttemptEnd,
        on connection: PostgresConnection
    ) async throws {
        guard group.state != .forming, let leader = group.leader else { return }
        try await endLeases(ofWorker: leader.worker, end, on: connection)
        try await connection.execute(
            """
            UPDATE worker SET numeric_class = own_class, speed = own_speed, own_class = NULL,
                own_speed = NULL
            WHERE id = \(leader.worker) AND own_class IS NOT NULL
            """
        )
    }

    // MARK: - What members say

    /// Notes how far a member is in the current epoch: what is said of another one counts for
    /// nothing.
    ///
    /// With its last member the group is ready; a member that is broken ends the epoch in the same
    /// transaction. Returns how long the group took to form, in seconds, where it is ready now.
    func note(
        _ standing: GroupStanding,
        of worker: WorkerID,
        epoch: Int64
    ) async throws -> Double? {
        try await withRetriedTransaction { connection in
            guard let group = try await lockGroup(standing.group, on: connection),
                group.epoch == standing.epoch,
                let member = group.members.first(where: { $0.worker == worker }),
                member.rank == standing.rank
            else { return nil }
            let isCurrent =
                try await connection.query(
                    """
                    SELECT FROM worker WHERE id = \(worker)
                        AND (\(epoch)::bigint = 0 OR epoch = \(epoch))
                    """
                ).count == 1
            guard isCurrent else { return nil }
            guard standing.phase != .broken else {
                try await noteBroken(standing, member, of: group, on: connection)
                return nil
            }
            try await connection.execute(
                """
                UPDATE worker SET group_phase = \(standing.phase),
                    group_address = coalesce(\(standing.address?.base64EncodedString()),
                        group_address),
                    group_figures = coalesce(\(try standing.figures.map(FarmJSON.text))::jsonb,
                        group_figures),
                    group_class = coalesce(\(standing.numericClass), group_class),
                    group_missed_at = NULL
                WHERE id = \(worker)
                """
            )
            if standing.rank == 0 { try await noteLead(standing, of: group, on: connection) }
            return try await becomeReady(group, on: connection)
        }
    }

    private func noteBroken(
        _ standing: GroupStanding,
        _ member: GroupMemberRecord,
        of group: GroupRecord,
        on connection: PostgresConnection
    ) async throws {
        let why = "the worker \(member.name) broke off: \(standing.reason ?? "it gave no reason")"
        let lost = standing.lostRank.flatMap { $0 == standing.rank ? nil : $0 }
        // Who says that it lost another one is not to blame.
        let culprits = group.members.filter { $0.rank == lost ?? standing.rank }
        try await breakOff(group, because: why, by: culprits, on: connection)
        guard let lost else { return }
        try await connection.execute(
            """
            UPDATE worker SET group_missed_at = now()
            WHERE group_id = \(group.id) AND group_rank = \(lost)
            """
        )
    }

    /// Ends the epoch of a group by the fault of members: those that did so again and again take no
    /// part for a while, which is the end of a group that was only needed.
    private func breakOff(
        _ group: GroupRecord,
        because reason: String,
        by culprits: [GroupMemberRecord],
        on connection: PostgresConnection
    ) async throws {
        let tired = try await connection.query(
            """
            UPDATE worker SET group_breaks = group_breaks + 1, group_unfit_until = CASE
                WHEN group_breaks + 1 >= \(Self.mostBreaks)
                    THEN now() + make_interval(secs => \(Self.restSeconds)) END
            WHERE id = ANY(\(culprits.map(\.worker))::uuid[]) AND group_id = \(group.id)
            RETURNING name, group_unfit_until IS NOT NULL AS is_tired
            """
        ).filter { try $0.decode("is_tired") }.map { try $0.decode("name", as: String.self) }
        guard !tired.isEmpty else {
            return try await endEpoch(of: group, because: reason, on: connection)
        }
        let names = tired.sorted().joined(separator: ", ")
        let whole =
            "it came to nothing \(Self.mostBreaks) times in a row, the last time because "
            + "\(reason); no part is given for a while to: \(names)"
        if group.origin == .needed {
            try await dissolve(group, because: whole, on: connection)
        } else {
            try await endEpoch(of: group, because: whole, on: connection)
        }
    }

    /// Notes the class and speed that the worker of rank 0 tells of its group.
    private func noteLead(
        _ standing: GroupStanding,
        of group: GroupRecord,
        on connection: PostgresConnection
    ) async throws {
        let speed = standing.speed.flatMap { (1...1e24).contains($0) ? $0 : nil }
        try await connection.execute(
            """
            UPDATE worker_group SET numeric_class = coalesce(\(standing.numericClass),
                numeric_class), speed = coalesce(\(speed), speed)
            WHERE id = \(group.id)
            """
        )
        try await connection.execute(
            """
            UPDATE worker SET numeric_class = worker_group.numeric_class,
                speed = CASE WHEN \(speed != nil)::boolean THEN worker_group.speed ELSE worker.speed END
            FROM worker_group WHERE worker_group.id = worker.group_id
                AND worker.group_id = \(group.id) AND group_rank = 0 AND own_class IS NOT NULL
            """
        )
    }

    /// Makes a forming group ready all of whose members are: from now on its first rank's worker
    /// claims in the group's class, which all that tell one have to agree on.
    ///
    /// Returns how long that took since the reservation, or the epoch's begin, in seconds; nil where
    /// the group did not become ready now.
    private func becomeReady(
        _ group: GroupRecord,
        on connection: PostgresConnection
    ) async throws -> Double? {
        guard try await haveOneClass(group, on: connection) else { return nil }
        let formed = try await connection.query(
            """
            UPDATE worker_group SET state = 'ready', formed_at = now(), expires_at = NULL,
                starts_at = NULL, lacking_at = NULL, formation_seconds = greatest(0,
                    extract(epoch FROM now() - epoch_at)::double precision)
            WHERE id = \(group.id) AND state = 'forming' AND NOT EXISTS (
                SELECT FROM worker WHERE group_id = worker_group.id
                    AND (group_phase <> 'ready' OR NOT \(raw: Self.fitsGroup))
            )
            RETURNING formation_seconds
            """
        ).first
        guard let formed else { return nil }
        log("Group ready", of: group, on: connection)
        try await keepLink(of: group, on: connection)
        try await connection.execute(
            "UPDATE worker SET group_breaks = 0 WHERE group_id = \(group.id) AND group_breaks > 0"
        )
        try await connection.execute(
            """
            UPDATE worker SET own_class = worker.numeric_class, own_speed = worker.speed,
                numeric_class = worker_group.numeric_class, speed = worker_group.speed
            FROM worker_group WHERE worker_group.id = worker.group_id
                AND worker.group_id = \(group.id) AND worker.group_rank = 0
            """
        )
        try await Self.notify(.ready, group.id.description, on: connection)
        return try formed.decode("formation_seconds")
    }

    /// Whether the members of a forming group told no two classes; where they did, once all are
    /// ready, the epoch ends by the fault of those that differ from the first rank.
    private func haveOneClass(
        _ group: GroupRecord,
        on connection: PostgresConnection
    ) async throws -> Bool {
        guard group.state == .forming else { return true }
        let rows = try await connection.query(
            """
            SELECT group_rank, group_class FROM worker
            WHERE group_id = \(group.id) AND group_class IS NOT NULL AND NOT EXISTS (
                SELECT FROM worker AS member
                WHERE member.group_id = \(group.id) AND member.group_phase <> 'ready'
            )
            ORDER BY group_rank
            """
        )
        let told = try rows.map { row in
            (
                rank: try row.decode("group_rank", as: Int.self),
                numericClass: try row.decode("group_class", as: String.self)
            )
        }
        let classes = Set(told.map(\.numericClass))
        guard classes.count > 1 else { return true }
        let odd = Set(told.filter { $0.numericClass != told[0].numericClass }.map(\.rank))
        try await breakOff(
            group,
            because: "its members compute in several classes: "
                + classes.sorted().joined(separator: ", "),
            by: group.members.filter { odd.contains($0.rank) },
            on: connection
        )
        return false
    }

    // MARK: - What members are told

    /// What a worker is to be in its group, and whether that is forming; nil where it is in none.
    func groupOrder(of worker: WorkerID) async throws -> (order: GroupOrder, isForming: Bool)? {
        let rows = try await pool.query(
            """
            SELECT worker_group.id, worker_group.name AS group_name, worker_group.epoch,
                worker_group.size, worker_group.secret, worker_group.state, own.group_rank AS rank,
                worker.group_rank, worker.name, worker.group_address,
                worker_group.state = 'forming' AND (
                    EXISTS (SELECT FROM lease WHERE lease.worker_id = own.id)
                    OR EXISTS (
                        SELECT FROM worker WHERE worker.group_id = worker_group.id
                            AND \(raw: Self.isResting)
                    )
                    OR (worker_group.starts_at IS NOT NULL AND EXISTS (
                        SELECT FROM lease JOIN worker AS other ON other.id = lease.worker_id
                        WHERE other.group_id = worker_group.id
                    ))
                ) AS is_reserved
            FROM worker AS own JOIN worker_group ON worker_group.id = own.group_id
            JOIN worker ON worker.group_id = worker_group.id
            WHERE own.id = \(worker) ORDER BY worker.group_rank
            """
        )
        guard let first = rows.first else { return nil }
        let secret = try first.decode("secret", as: String.self)
        let order = GroupOrder(
            group: try first.decode("id"),
            name: try first.decode("group_name"),
            epoch: try first.decode("epoch"),
            rank: try first.decode("rank"),
            size: try first.decode("size"),
            secret: Data(base64Encoded: secret) ?? Data(),
            members: try rows.map { row in
                GroupMemberAddress(
                    rank: try row.decode("group_rank"),
                    worker: try row.decode("name"),
                    address: try row.decodeIfPresent("group_address", as: String.self)
                        .flatMap { Data(base64Encoded: $0) }
                )
            },
            isReserved: try first.decode("is_reserved")
        )
        return (order, try first.decode("state", as: GroupState.self) == .forming)
    }
}
