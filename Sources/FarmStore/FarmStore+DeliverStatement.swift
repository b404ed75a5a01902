import FarmModel
import Postgres

extension FarmStore {
    /// The statement that delivers images and ends attempts that have none left: one row for each
    /// delivery, in their order.
    ///
    /// A job of which nothing but drafts is left tells so like an end.
    ///
    /// Its steps, in the order of the locks: the calls, the leases that are current, images and
    /// outputs, tasks, the leases that end with their attempts, jobs with events, usage.
    func deliverStatement(_ batch: [Delivery]) -> Query {
        let busy = "(SELECT max(busy) FROM current WHERE current.task_id = ended.task_id)"
        return """
            WITH call AS MATERIALIZED (
                SELECT * FROM unnest(
                    \(batch.map(\.fence.task))::uuid[], \(batch.map(\.fence.attempt))::uuid[],
                    \(batch.map(\.fence.epoch))::bigint[],
                    \(batch.map { $0.image?.index ?? -1 })::integer[],
                    \(batch.map { $0.image?.output.digest ?? "" })::text[],
                    \(batch.map { $0.image?.output.size ?? 0 })::bigint[],
                    \(batch.map { $0.image?.output.numericClass ?? "" })::text[],
                    \(batch.map { $0.totals != nil })::boolean[],
                    \(batch.map { $0.totals?.stepsComputed ?? 0 })::bigint[],
                    \(batch.map { $0.totals?.conditionsComputed ?? 0 })::integer[],
                    \(batch.map { $0.totals?.conditionsFound ?? 0 })::integer[],
                    \(batch.map { $0.totals?.busySeconds ?? 0 })::double precision[]
                ) WITH ORDINALITY AS call (task_id, attempt_id, epoch, image_index, digest, size,
                    numeric_class, is_final, steps, computed, found, busy, place)
            ),
            held AS MATERIALIZED (
                SELECT task_id, attempt_id, epoch, job_id, worker_id FROM lease
                WHERE task_id = ANY (ARRAY(SELECT task_id FROM call)) ORDER BY task_id FOR UPDATE
            ),
            current AS MATERIALIZED (
                SELECT call.*, held.job_id, held.worker_id FROM call JOIN held USING (\(raw: DeliveryFence.columns))
            ),
            delivered AS (
                UPDATE image SET state = 'delivered' FROM current
                WHERE image.job_id = current.job_id AND image.index = current.image_index
                    AND image.task_id = current.task_id AND image.state = 'waiting'
                RETURNING image.id, image.job_id, image.index, image.task_id,
                    current.attempt_id, current.digest, current.size, current.numeric_class,
                    current.worker_id, current.place
            ),
            forgotten AS (
                DELETE FROM checkpoint USING delivered
                WHERE checkpoint.task_id = delivered.task_id
                    AND checkpoint.image_index = delivered.index
            ),
            stored AS (
                INSERT INTO output (image_id, job_id, digest, size, attempt_id, numeric_class)
                SELECT delivered.id, delivered.job_id, digest, size, attempt_id,
                    coalesce(nullif(delivered.numeric_class, ''), worker.numeric_class, '')
                FROM delivered LEFT JOIN worker ON worker.id = delivered.worker_id
            ),
            \(raw: drawStep)
            tally AS (
                SELECT current.task_id, current.epoch, bool_or(current.is_final) AS is_final,
                    count(delivered.place)::integer AS delivered
                FROM current LEFT JOIN delivered USING (place) GROUP BY 1, 2
            ),
            counted AS (
                UPDATE task SET undelivered = undelivered - tally.delivered,
                    state = CASE WHEN NOT is_final OR undelivered > tally.delivered THEN state
                        WHEN given_up > 0 THEN 'failed' ELSE 'succeeded' END,
                    finished_at = CASE WHEN is_final AND undelivered = tally.delivered
                        THEN now() END,
                    attempts = attempts
                        + (is_final AND undelivered = tally.delivered)::integer,
                    epoch = CASE WHEN is_final AND undelivered = tally.delivered
                        THEN tally.epoch ELSE task.epoch END
                FROM tally WHERE task.id = tally.task_id
                RETURNING task.id, task.state, task.undelivered, task.is_narrow
            ),
            ended AS (
                DELETE FROM lease
                WHERE task_id = ANY (ARRAY(SELECT id FROM counted WHERE state <> 'ready'))
                RETURNING *
            ),
            tried AS (
                INSERT INTO attempt (id, task_id, job_id, worker_id, worker_name, numeric_class,
                    epoch, started_at, outcome, cost, steps_computed, conditions_computed,
                    conditions_found, busy_seconds)
                SELECT DISTINCT ON (ended.task_id) ended.attempt_id, ended.task_id, ended.job_id,
                    ended.worker_id, worker.name, worker.numeric_class, ended.epoch,
                    ended.claimed_at, 'succeeded', ended.cost, call.steps, call.computed,
                    call.found, call.busy
                FROM ended JOIN current AS call ON call.task_id = ended.task_id AND call.is_final
                JOIN worker ON worker.id = ended.worker_id
            ),
            change AS (
                SELECT job_id, sum(delivered)::integer AS delivered, sum(ended)::integer AS ended
                FROM (
                    SELECT job_id, 1 AS delivered, 0 AS ended FROM delivered
                    UNION ALL SELECT job_id, 0, 1 FROM ended
                ) AS part GROUP BY job_id
            ),
            touched AS (
                SELECT id FROM job WHERE id = ANY (ARRAY(SELECT job_id FROM change))
                ORDER BY id FOR NO KEY UPDATE
            ),
            settled AS (
                UPDATE job SET delivered_count = delivered_count + change.delivered,
                    live_task_count = live_task_count - change.ended,
                    event_count = event_count + change.delivered
                        + (change.ended > 0 AND live_task_count - change.ended = drafted_count
                            AND (drafted_count = 0 OR state = 'running'))::integer,
                    state = CASE WHEN change.ended = 0 OR live_task_count > change.ended THEN state
                        WHEN failed_count + cancelled_count > dropped_count THEN 'failed'
                        ELSE 'succeeded' END,
                    finished_at = CASE WHEN change.ended > 0 AND live_task_count = change.ended
                        THEN now() ELSE finished_at END
                FROM change JOIN touched ON touched.id = change.job_id
                WHERE job.id = change.job_id
                RETURNING job.id, job.owner, job.event_count,
                    \(raw: Self.jobState) AS state,
                    change.delivered, job.webhook,
                    change.ended > 0 AND job.live_task_count = job.drafted_count
                        AND (job.drafted_count = 0 OR job.state = 'running') AS is_over
            ),
            told AS (
                INSERT INTO event (job_id, number, kind, data)
                SELECT settled.id, settled.event_count - settled.is_over::integer
                        - settled.delivered
                        + row_number() OVER (PARTITION BY settled.id ORDER BY delivered.place),
                    'image.delivered', jsonb_build_object('image', delivered.id,
                        'index', delivered.index, 'digest', delivered.digest,
                        'size', delivered.size, 'attempt', delivered.attempt_id)
                FROM delivered JOIN settled ON settled.id = delivered.job_id
                UNION ALL
                SELECT id, event_count, 'job.' || state, '{}' FROM settled WHERE is_over
            ),
            hooked AS (
                INSERT INTO webhook (job_id, url, body)
                SELECT id, webhook, jsonb_build_object('job', id, 'event', 'job.' || state,
                    'number', event_count)
                FROM settled WHERE is_over AND webhook IS NOT NULL
            ),
            charged AS (
                \(raw: charging("cost", Self.workerSeconds(orBusy: busy),
                    where: "EXISTS (SELECT FROM settled)"))
            ),
            recovered AS (
                UPDATE worker SET failures_in_a_row = 0
                WHERE id = ANY (ARRAY(SELECT worker_id FROM ended)) AND failures_in_a_row > 0
            ),
            notified AS (
                SELECT pg_notify('farm_event', string_agg(id::text, ',')) FROM settled
                HAVING count(*) > 0
            )
            SELECT current.place IS NOT NULL AS is_current, delivered.place IS NOT NULL AS is_new,
                counted.state, counted.undelivered, counted.is_narrow, current.job_id,
                current.worker_id, settled.owner, settled.state AS job_state, settled.is_over,
                (SELECT count(*) FROM notified)
            FROM call LEFT JOIN current USING (place) LEFT JOIN delivered USING (place)
                LEFT JOIN counted ON counted.id = current.task_id
                LEFT JOIN settled ON settled.id = current.job_id
            ORDER BY call.place
            """
    }
}
