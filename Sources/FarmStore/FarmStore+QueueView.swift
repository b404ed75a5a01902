import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// Makes the next claim look at the queue again: to be called on a notice of `farm_ready` or
    /// `farm_control`.
    package func queueChanged() {
        desk.expire()
    }

    /// Reads what decides who is next.
    func readQueue() async throws -> QueueView {
        try await flushServed()
        return try await pool.withConnection { connection in
            var view = QueueView()
            let farm = try await connection.query(
                """
                SELECT is_paused, now() AS now,
                    ARRAY(SELECT name FROM pool WHERE pool.is_paused) AS pools FROM farm
                """
            ).first
            guard let farm else { throw FarmStoreError.vanished("the row of the farm") }
            view.now = try farm.decode("now")
            view.isFarmPaused = try farm.decode("is_paused")
            view.pausedPools = Set(try farm.decode("pools", as: [String].self))
            view.heads = try await openHeads(on: connection)
            view.owners = try await owners(on: connection)
            view.heads = view.heads.map(view.withQuota)
            view.limits = try await limitCounts(of: view.heads, on: connection)
            view.workers = try await capabilities(on: connection)
            view.blocks = try await blocks(of: Set(view.heads.map(\.job)), on: connection)
            view.liftVainBlocks(of: view.heads)
            view.heads = view.heads.map(view.withAlone)
            return view
        }
    }

    /// The workers that are kept from some jobs.
    func blocks(
        of jobs: Set<JobID>,
        on connection: PostgresConnection
    ) async throws -> Set<WorkerBlock> {
        let rows = try await connection.query(
            """
            SELECT job_id, worker_name FROM worker_block
            WHERE job_id = ANY(\(Array(jobs))::uuid[])
            """
        )
        return Set(
            try rows.map {
                WorkerBlock(job: try $0.decode("job_id"), worker: try $0.decode("worker_name"))
            }
        )
    }

    /// The open heads with something to claim: of each owner and requirement the most urgent, and
    /// those that were not served for longer than the age bound, the oldest.
    private func openHeads(on connection: PostgresConnection) async throws -> [HeadView] {
        try await connection.query(
            """
            WITH open AS MATERIALIZED (
                SELECT head.*, row_number() OVER (
                    equal ORDER BY is_lifted DESC, priority DESC, id
                ) AS place, row_number() OVER (
                    equal ORDER BY coalesce(served_at, queued_at), id
                ) AS age_place
                FROM head WHERE NOT is_empty AND blocked_by IS NULL
                WINDOW equal AS (
                    PARTITION BY owner, model_digest, precision, memory_bytes, pool, tags,
                        limits, group_size, numeric_class
                )
            )
            SELECT open.id, open.job_id, open.owner, open.priority, open.is_lifted,
                open.model_digest, open.precision, open.memory_bytes, open.pool, open.tags,
                open.limits, open.group_size, open.numeric_class, open.awaits_class, open.max_workers,
                coalesce(open.served_at, open.queued_at) AS served_at, first.number AS first,
                first.cost, first.images, CASE WHEN open.max_workers IS NULL THEN '{}' ELSE ARRAY(
                    SELECT DISTINCT worker_id FROM lease WHERE lease.job_id = open.job_id
                ) END AS workers, ARRAY(
                    SELECT DISTINCT unnest(avoid) FROM ready
                    WHERE ready.head_id = open.id AND avoid IS NOT NULL
                ) AS avoided
            FROM open CROSS JOIN LATERAL (
                SELECT number, cost, CASE WHEN is_narrow THEN 1 ELSE image_count END AS images
                FROM ready WHERE ready.head_id = open.id
                ORDER BY number LIMIT 1
            ) AS first
            WHERE open.place <= \(Placement.width) OR (
                open.age_place <= \(Placement.width) AND coalesce(open.served_at, open.queued_at)
                    < now() - make_interval(secs => \(configuration.ageBound.inSeconds))
            )
            ORDER BY open.id
            """
        ).map(HeadView.init)
    }

    /// Owners with their weights, charges (what was settled, decayed, and what runs) and quotas.
    func owners(on connection: PostgresConnection) async throws -> [String: OwnerView] {
        let rows = try await connection.query(
            """
            SELECT account.owner, account.weight, coalesce(settled.charge, 0)
                + coalesce(running.cost, 0) AS charge, coalesce(running.images, 0) AS images,
                account.blob_bytes, account.compute_seconds, \(raw: AccountQuotas.columns)
            FROM account LEFT JOIN (
                SELECT owner, sum(charge * power(0.5, least(1000, greatest(0,
                    extract(epoch FROM now() - charged_at))::double precision
                        / \(configuration.chargeHalfLife.inSeconds)::double precision))) AS charge
                FROM account_usage GROUP BY owner
            ) AS settled USING (owner) LEFT JOIN (
                SELECT owner, sum(cost) AS cost, sum(image_count) AS images
                FROM lease GROUP BY owner
            ) AS running USING (owner)
            """
        )
        var owners: [String: OwnerView] = [:]
        for row in rows {
            owners[try row.decode("owner")] = OwnerView(
                weight: try row.decode("weight"),
                charge: try row.decode("charge"),
                quotas: try AccountQuotas(row),
                imagesInFlight: try row.decode("images"),
                blobBytes: try row.decode("blob_bytes"),
                computeSeconds: try row.decode("compute_seconds")
            )
        }
        return owners
    }

    /// Whether a worker that is reserved for a group may take one task that ends before the group
    /// starts, as SQL: it holds nothing, and waits for what another member held at the reservation.
    ///
    /// What reserved workers take counts for nobody, and the start stays as it was predicted then, so
    /// that they cannot put it off.
    static let mayFill = """
        (worker_group.state = 'forming' AND worker.group_phase = 'reserved'
            AND worker.renders_alone AND worker_group.starts_at > now()
            AND NOT EXISTS (SELECT FROM lease WHERE lease.worker_id = worker.id) AND EXISTS (
                SELECT FROM lease JOIN worker AS busy ON busy.id = lease.worker_id
                WHERE busy.group_id = worker.group_id AND lease.claimed_at < worker_group.epoch_at
            ))
        """

    /// How many workers render with one, as SQL: none where it holds no whole model, belongs to
    /// another rank's group, or to one that forms or is to take nothing new.
    static let servedSize = """
        CASE WHEN worker.group_id IS NULL OR \(mayFill) THEN worker.renders_alone::integer
            WHEN worker_group.state = 'ready' AND worker.group_rank = 0 AND NOT EXISTS (
                SELECT FROM worker AS member
                WHERE member.group_id = worker.group_id AND \(isLeaving)
            ) THEN worker_group.size ELSE 0 END
        """

    /// The workers that are not lost.
    func capabilities(
        on connection: PostgresConnection
    ) async throws -> [WorkerID: WorkerCapability] {
        let rows = try await connection.query(
            """
            SELECT worker.id, worker.epoch, worker.name, worker.model_digest, worker.precision,
                worker.memory_bytes, worker.pool, worker.tags, worker.numeric_class, worker.speed,
                worker.promised_task, worker.promised_head, worker.promised_number,
                CASE WHEN worker.state IN ('draining', 'asleep', 'quarantined') THEN worker.state
                    WHEN desired_state = 'drain' THEN 'draining'
                    WHEN desired_state = 'sleep' THEN 'asleep'
                    WHEN desired_state = 'quarantine' THEN 'quarantined' END AS refusal,
                worker.group_id, worker_group.epoch AS group_epoch, \(raw: Self.servedSize) AS served_size,
                coalesce(worker_group.wanted_size, 1) AS wanted_size,
                coalesce(worker_group.origin <> 'needed', false) AS serves_singles,
                CASE WHEN \(raw: Self.mayFill) THEN worker_group.starts_at END AS reserved_until
            FROM worker LEFT JOIN worker_group ON worker_group.id = worker.group_id
            WHERE worker.state <> 'lost'
            """
        )
        var workers: [WorkerID: WorkerCapability] = [:]
        for row in rows {
            let group = try row.decodeIfPresent("group_id", as: GroupID.self)
            var worker = WorkerCapability(
                id: try row.decode("id"),
                epoch: try row.decode("epoch"),
                name: try row.decode("name"),
                modelDigest: try row.decode("model_digest"),
                precision: try row.decode("precision"),
                memory: try row.decode("memory_bytes"),
                pool: try row.decode("pool"),
                tags: Set(try row.decode("tags", as: [String].self)),
                numericClass: try row.decode("numeric_class"),
                refusal: try row.decodeIfPresent("refusal"),
                groupSize: try row.decode("served_size"),
                wantedSize: try row.decode("wanted_size"),
                servesSingles: try row.decode("serves_singles"),
                isMember: group != nil,
                reservation: try row.decodeIfPresent("reserved_until", as: Date.self).map {
                    GroupReservation(until: $0, speed: try row.decode("speed"))
                }
            )
            if let task = try row.decodeIfPresent("promised_task", as: TaskID.self) {
                worker.promise = TaskPromise(
                    task: task,
                    head: try row.decode("promised_head"),
                    number: try row.decode("promised_number")
                )
            }
            if let group, worker.groupSize > 1 {
                worker.lead = GroupEpoch(group: group, epoch: try row.decode("group_epoch"))
            }
            workers[worker.id] = worker
        }
        return workers
    }

    /// Writes down which heads were served, so that other coordinators' age bounds know of it.
    private func flushServed() async throws {
        let served = desk.takeServed()
        guard !served.isEmpty else { return }
        try await pool.execute(
            """
            WITH known AS (
                SELECT head.id, served.at
                FROM unnest(\(Array(served.keys))::bigint[], \(Array(served.values))::timestamptz[])
                    AS served (id, at)
                JOIN head ON head.id = served.id
                WHERE head.served_at IS NULL OR head.served_at < served.at - interval '5 s'
                ORDER BY head.id FOR NO KEY UPDATE OF head SKIP LOCKED
            )
            UPDATE head SET served_at = known.at FROM known WHERE head.id = known.id
            """
        )
    }
}

extension HeadView {
    init(_ row: Row) throws {
        self.init(
            id: try row.decode("id"),
            job: try row.decode("job_id"),
            owner: try row.decode("owner"),
            priority: try row.decode("priority"),
            isLifted: try row.decode("is_lifted"),
            modelDigest: try row.decode("model_digest"),
            requirement: try TaskRequirement(row),
            numericClass: try row.decodeIfPresent("numeric_class"),
            awaitsClass: try row.decode("awaits_class"),
            maxWorkers: try row.decodeIfPresent("max_workers"),
            workersAtIt: Set(try row.decode("workers", as: [WorkerID].self)),
            avoided: Set(try row.decode("avoided", as: [String].self)),
            servedAt: try row.decode("served_at"),
            first: try row.decode("first"),
            taskCost: try row.decode("cost"),
            taskImages: try row.decode("images")
        )
        requirement.limits = try row.decode("limits")
    }
}

extension TaskRequirement {
    /// Reads the requirement from the columns of a head; its class, asked for or fixed since, stands
    /// beside it.
    init(_ row: Row) throws {
        self.init()
        precision = try row.decodeIfPresent("precision")
        memoryBytes = try row.decodeIfPresent("memory_bytes")
        pool = try row.decodeIfPresent("pool")
        tags = try row.decode("tags")
        groupSize = try row.decode("group_size")
    }
}
