-- oldest-binary: 0.2.0
--
-- Release 0.1.0 kept a job's specification as it was submitted, and what it leaves open in rows of
-- images that are gone: nobody can render such a job any more. Those that are not over are cancelled.

WITH first AS MATERIALIZED (
    SELECT id, 'accepted by release 0.1.0, whose jobs later releases cannot render; submit it again'
        AS reason
    FROM job
    WHERE state IN ('pending', 'running', 'paused') AND NOT specification ? 'model_digest'
),
unqueued AS (
    DELETE FROM ready USING first WHERE ready.job_id = first.id
),
woken AS (
    DELETE FROM resting USING head, first
    WHERE head.id = resting.head_id AND head.job_id = first.id
),
closed AS (
    UPDATE head SET is_empty = true, blocked_by = NULL FROM first WHERE head.job_id = first.id
),
ended AS (
    DELETE FROM lease USING first WHERE lease.job_id = first.id RETURNING lease.*
),
tried AS (
    INSERT INTO attempt (id, task_id, job_id, worker_id, worker_name, numeric_class, epoch,
        started_at, outcome)
    SELECT ended.attempt_id, ended.task_id, ended.job_id, ended.worker_id, worker.name,
        worker.numeric_class, ended.epoch, ended.claimed_at, 'cancelled'
    FROM ended JOIN worker ON worker.id = ended.worker_id
),
stopped AS (
    UPDATE task SET state = 'cancelled', finished_at = now(),
        epoch = coalesce((SELECT ended.epoch FROM ended WHERE ended.task_id = task.id), epoch),
        attempts = attempts + (SELECT count(*) FROM ended WHERE ended.task_id = task.id)
    FROM first WHERE task.job_id = first.id AND task.state = 'ready'
),
cancelled AS (
    UPDATE image SET state = 'cancelled' FROM first
    WHERE image.job_id = first.id AND image.state = 'waiting' RETURNING image.job_id
),
over AS (
    UPDATE job SET state = 'cancelled', finished_at = now(), reason = first.reason,
        live_task_count = 0, event_count = event_count + 1, cancelled_count = cancelled_count
            + (SELECT count(*) FROM cancelled WHERE cancelled.job_id = job.id)
    FROM first WHERE job.id = first.id RETURNING job.id, job.event_count, job.reason
),
told AS (
    INSERT INTO event (job_id, number, kind, data)
    SELECT id, event_count, 'job.cancelled', jsonb_build_object('reason', reason) FROM over
)
INSERT INTO audit (actor, action, target, detail)
SELECT 'farm', 'job.cancelled', id::text, jsonb_build_object('reason', reason) FROM over;
