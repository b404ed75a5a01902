import FarmModel
import Postgres

extension FarmStore {
    /// The statement that leases tasks: one row for each, in the order of the heads.
    ///
    /// A task is claimed with its lease, or not at all. Its steps, in the order of the locks: the
    /// workers that still may take tasks, one slot for each task; the first ready tasks of the
    /// heads, skipping what another claim looks at; their images that wait, of a narrow task the
    /// first; their leases; jobs of which this is the first claim.
    ///
    /// - Parameters:
    ///   - choices: The heads, each once, with how many tasks to take.
    ///   - slots: The worker that gets the first task, the second, and so on.
    ///   - names: The workers' names: what one of them failed is not for them.
    ///   - promise: What the workers were promised, and take before anything else; nil where nothing: they
    ///     take nothing while they are promised something after all.
    ///   - images: How many images a task may have leased; nil for any number.
    ///   - ranks: How many workers render with the one that claims.
    ///   - reservation: By when a task has to end; nil for any time.
    ///   - able: For each choice the workers, by name, that could run it: what they all failed is
    ///     for any.
    /// - Returns: The statement.
    func leaseStatement(
        _ choices: [Placement.Choice],
        _ slots: [ClaimSlot],
        _ names: [String],
        promise: TaskPromise?,
        images: Int?,
        ranks: Int,
        until reservation: GroupReservation?,
        able: [[String]]
    ) -> Query {
        let heads = choices.map(\.head.id)
        let headsOfAble = zip(heads, able).flatMap { repeatElement($0, count: $1.count) }
        return """
            WITH led AS MATERIALIZED (
                SELECT worker_group.id, concat(worker_group.id, '/', worker_group.epoch) AS key
                FROM worker_group
                WHERE worker_group.state = 'ready' AND worker_group.id IN (
                    SELECT group_id FROM worker
                    WHERE worker.id = ANY(\(slots.filter { $0.lead != nil }.map(\.worker))::uuid[])
                        AND worker.group_rank = 0
                ) AND NOT EXISTS (
                    SELECT FROM worker AS member
                    WHERE member.group_id = worker_group.id AND \(raw: Self.isLeaving)
                ) FOR SHARE OF worker_group
            ),
            slot AS MATERIALIZED (
                SELECT worker.id AS worker_id, slot.attempt_id,
                    row_number() OVER (ORDER BY slot.place) AS place
                FROM unnest(\(slots.map(\.worker))::uuid[], \(slots.map(\.epoch))::bigint[],
                        \(slots.map { _ in AttemptID.timeOrdered() })::uuid[],
                        \(slots.map(\.isMember))::boolean[], \(slots.map(\.leadKey))::text[])
                    WITH ORDINALITY AS slot (worker_id, epoch, attempt_id, is_member, lead, place)
                JOIN worker ON worker.id = slot.worker_id AND slot.epoch IN (0, worker.epoch)
                WHERE worker.state NOT IN ('draining', 'asleep', 'quarantined')
                    AND worker.desired_state = 'run'
                    AND worker.promised_task IS NOT DISTINCT FROM \(promise?.task)::uuid
                    AND slot.is_member = (worker.group_id IS NOT NULL)
                    AND (slot.lead = '' OR slot.lead = (
                        SELECT led.key FROM led WHERE led.id = worker.group_id
                    ))
                    AND (slot.lead <> '' OR NOT slot.is_member OR EXISTS (
                        SELECT FROM worker_group
                        WHERE worker_group.id = worker.group_id AND \(raw: Self.mayFill)
                    ))
                    AND NOT EXISTS (SELECT FROM farm WHERE is_paused)
                    AND NOT EXISTS (
                        SELECT FROM pool WHERE pool.name = worker.pool AND pool.is_paused
                    )
            ),
            picked AS MATERIALIZED (
                SELECT part.*, row_number() OVER () AS place
                FROM (
                    SELECT part.* FROM unnest(\(heads)::bigint[],
                            \(choices.map(\.count))::integer[],
                            \(choices.map(\.head.first))::integer[])
                        WITH ORDINALITY AS choice (head_id, count, first, place)
                    CROSS JOIN LATERAL (
                        SELECT ready.ctid AS at, ready.* FROM ready
                        WHERE ready.head_id = choice.head_id AND ready.number >= choice.first
                            AND ready.number <= \(promise?.number ?? Int(Int32.max))::integer
                            AND (\(images == nil)::boolean OR CASE WHEN ready.is_narrow THEN 1
                                ELSE ready.image_count END <= \(images ?? 0)::integer)
                            AND (ready.promised IS NULL
                                OR ready.task_id = \(promise?.task)::uuid)
                            AND (SELECT head.blocked_by IS NULL AND NOT head.is_empty FROM head
                                WHERE head.id = choice.head_id)
                            AND (\(reservation == nil)::boolean
                                OR ready.cost <= \(reservation?.speed ?? 0)::double precision * extract(
                                    epoch FROM \(reservation?.until)::timestamptz - now()))
                            AND (ready.avoid IS NULL OR NOT ready.avoid && \(names)::text[]
                                OR ready.avoid @> (
                                    SELECT array_agg(able.name)
                                    FROM unnest(\(able.flatMap(\.self))::text[],
                                        \(headsOfAble)::bigint[]) AS able (name, head_id)
                                    WHERE able.head_id = choice.head_id
                                ))
                        ORDER BY ready.number LIMIT choice.count FOR UPDATE SKIP LOCKED
                    ) AS part
                    LIMIT (SELECT count(*) FROM slot)
                ) AS part
            ),
            taken AS (
                DELETE FROM ready WHERE ctid = ANY (ARRAY(SELECT at FROM picked))
            ),
            todo AS MATERIALIZED (
                SELECT picked.task_id, picked.cost * cardinality(own.images) / picked.image_count
                    AS cost, own.images, own.indices
                FROM picked CROSS JOIN LATERAL (
                    SELECT coalesce(array_agg(id ORDER BY index), '{}') AS images,
                        coalesce(array_agg(index ORDER BY index), '{}') AS indices
                    FROM (
                        SELECT id, index FROM image
                        WHERE image.job_id = picked.job_id AND image.state = 'waiting'
                            AND image.index BETWEEN picked.first_index
                                AND picked.first_index + picked.image_count - 1
                        ORDER BY index LIMIT CASE WHEN picked.is_narrow THEN 1 END
                    ) AS image
                ) AS own
            ),
            leased AS (
                INSERT INTO lease (task_id, attempt_id, epoch, job_id, head_id, owner, worker_id, cost,
                    image_count, ranks, deadline)
                SELECT picked.task_id, slot.attempt_id, picked.epoch + 1, picked.job_id,
                    picked.head_id, (SELECT owner FROM head WHERE head.id = picked.head_id),
                    slot.worker_id, todo.cost, cardinality(todo.images), \(ranks)::integer,
                    now() + make_interval(secs => \(configuration.lease.inSeconds))
                FROM picked JOIN slot USING (place) JOIN todo USING (task_id)
                RETURNING task_id, attempt_id, epoch, worker_id, job_id, head_id, owner, deadline
            ),
            pending AS (
                SELECT id FROM job
                WHERE id = ANY (ARRAY(SELECT job_id FROM picked)) AND state = 'pending'
                ORDER BY id FOR NO KEY UPDATE
            ),
            started AS (
                UPDATE job SET state = 'running', started_at = coalesce(started_at, now()),
                    event_count = event_count + 1
                FROM pending WHERE job.id = pending.id RETURNING job.id, job.event_count
            ),
            told AS (
                INSERT INTO event (job_id, number, kind)
                SELECT id, event_count, 'job.started' FROM started
            ),
            notified AS (
                SELECT pg_notify('farm_event', string_agg(id::text, ',')) FROM started
                HAVING count(*) > 0
            )
            SELECT leased.*, picked.number, todo.cost, (
                    SELECT head.numeric_class FROM head WHERE head.id = leased.head_id
                ) AS numeric_class, CASE WHEN picked.epoch = 0 THEN (
                    SELECT extract(epoch FROM now() - head.queued_at)::double precision
                    FROM head WHERE head.id = leased.head_id
                ) END AS wait, todo.images, todo.indices, (SELECT count(*) FROM notified)
            FROM leased JOIN picked USING (task_id) JOIN todo USING (task_id)
            ORDER BY picked.place
            """
    }
}
