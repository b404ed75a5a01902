-- Invariants of a farm's database. Each statement gives one row a violation: the invariant's name and
-- what violates it. Written apart from the product's own statements, so that neither hides a mistake
-- of the other. The images' files are compared by deploy/audit. No statement leans on a constraint of
-- the schema: the copies in which a violation is planted have none.

-- An accepted job has every image of it, once.
SELECT 'image-lost', format('job %s has %s of %s images', job.id, count(image.id), job.image_count)
FROM job LEFT JOIN image ON image.job_id = job.id
GROUP BY job.id, job.image_count HAVING count(DISTINCT image.index) <> job.image_count;

SELECT 'image-doubled', format('job %s image %s', job_id, index)
FROM image GROUP BY job_id, index HAVING count(*) > 1;

-- A delivered image has one output, and nothing else has one.
SELECT 'output-doubled', format('image %s', image_id)
FROM output GROUP BY image_id HAVING count(*) > 1;

SELECT 'output-lost', format('image %s is delivered and has no output', image.id)
FROM image WHERE state = 'delivered'
    AND NOT EXISTS (SELECT FROM output WHERE output.image_id = image.id);

SELECT 'output-unexpected', format('image %s is %s and has an output', image.id, image.state)
FROM image JOIN output ON output.image_id = image.id WHERE image.state <> 'delivered';

SELECT 'output-of-nobody', format('image %s was delivered by no attempt', output.image_id)
FROM output WHERE NOT EXISTS (SELECT FROM attempt WHERE attempt.id = output.attempt_id)
    AND NOT EXISTS (SELECT FROM lease WHERE lease.attempt_id = output.attempt_id);

-- A job that succeeded delivered everything but drafts that were dropped; one that is over has no live task.
SELECT 'job-incomplete', format('job %s succeeded with image %s %s', job.id, image.index, image.state)
FROM job JOIN image ON image.job_id = job.id
WHERE job.state = 'succeeded' AND image.state <> 'delivered'
    AND NOT (image.state = 'cancelled' AND EXISTS (SELECT FROM draft WHERE draft.image_id = image.id
        AND draft.decision IN ('dropped', 'expired')));

SELECT 'task-incomplete', format('task %s succeeded with image %s %s', task.id, image.index, image.state)
FROM task JOIN image ON image.task_id = task.id
WHERE task.state = 'succeeded' AND image.state <> 'delivered';

SELECT 'job-over-with-live-task', format('job %s is %s, task %s is live', job.id, job.state, task.id)
FROM job JOIN task ON task.job_id = job.id
WHERE job.state IN ('succeeded', 'failed', 'cancelled') AND task.state IN ('ready', 'drafted');

SELECT 'job-never-over', format('job %s is %s with no live task', job.id, job.state)
FROM job WHERE state = 'running'
    AND NOT EXISTS (SELECT FROM task WHERE job_id = job.id AND task.state IN ('ready', 'drafted'));

-- A draft is a task of its own that somebody has still to decide, and can be finished from its checkpoint.
SELECT 'draft-alone', format('image %s is %s, its task is %s', image.id, image.state, task.state)
FROM image JOIN task ON task.id = image.task_id
WHERE (image.state = 'drafted') <> (task.state = 'drafted');

SELECT 'draft-lost', format('image %s is drafted, and no draft of it is to be decided', image.id)
FROM image WHERE state = 'drafted'
    AND NOT EXISTS (SELECT FROM draft WHERE draft.image_id = image.id AND draft.decision IS NULL);

SELECT 'draft-unfinishable', format('image %s is drafted after step %s and has no checkpoint of it', image.id, draft.step)
FROM image JOIN draft ON draft.image_id = image.id
WHERE image.state = 'drafted'
    AND NOT EXISTS (SELECT FROM checkpoint WHERE checkpoint.task_id = image.task_id
        AND checkpoint.image_index = image.index AND checkpoint.step = draft.step);

-- A live task can be claimed, rests, or is leased: one of them, once. A task that is over does nothing.
SELECT 'lease-doubled', format('task %s', task_id)
FROM lease GROUP BY task_id HAVING count(*) > 1;

SELECT 'task-nowhere', format('task %s is live and neither claimable, resting nor leased', task.id)
FROM task WHERE state = 'ready'
    AND NOT EXISTS (SELECT FROM ready WHERE ready.task_id = task.id)
    AND NOT EXISTS (SELECT FROM resting WHERE resting.task_id = task.id)
    AND NOT EXISTS (SELECT FROM lease WHERE lease.task_id = task.id);

SELECT 'task-twice', format('task %s: %s', task_id, string_agg(place, ', '))
FROM (
    SELECT task_id, 'claimable' AS place FROM ready
    UNION ALL SELECT task_id, 'resting' FROM resting
    UNION ALL SELECT DISTINCT task_id, 'leased' FROM lease
) AS placed
GROUP BY task_id HAVING count(*) > 1;

SELECT 'queued-not-live', format('task %s is %s', placed.task_id, coalesce(task.state, 'not there'))
FROM (
    SELECT task_id FROM ready UNION ALL SELECT task_id FROM resting UNION ALL SELECT task_id FROM lease
) AS placed LEFT JOIN task ON task.id = placed.task_id
WHERE task.state IS DISTINCT FROM 'ready';

-- Epochs rise by one with each lease, and each lease that is over left an attempt.
SELECT 'lease-epoch', format('task %s had %s leases, the present one is of epoch %s', task.id, task.epoch, lease.epoch)
FROM lease JOIN task ON task.id = lease.task_id WHERE lease.epoch <> task.epoch + 1;

SELECT 'epoch-rewound', format('task %s has epoch %s after an attempt of %s', task.id, task.epoch, max(attempt.epoch))
FROM task JOIN attempt ON attempt.task_id = task.id
GROUP BY task.id, task.epoch HAVING max(attempt.epoch) > task.epoch;

SELECT 'epoch-repeated', format('task %s epoch %s', task_id, epoch)
FROM attempt GROUP BY task_id, epoch HAVING count(*) > 1;

SELECT 'attempt-lost', format('task %s had %s leases and %s attempts', task.id, task.epoch, count(attempt.id))
FROM task LEFT JOIN attempt ON attempt.task_id = task.id
GROUP BY task.id, task.epoch HAVING count(attempt.id) <> task.epoch;

-- Counters are the sums of what they count.
SELECT 'counter-images', format('job %s: %s', job.id, row(delivered_count, failed_count, cancelled_count))
FROM job LEFT JOIN image ON image.job_id = job.id
GROUP BY job.id, delivered_count, failed_count, cancelled_count
HAVING delivered_count <> count(image.id) FILTER (WHERE image.state = 'delivered')
    OR failed_count <> count(image.id) FILTER (WHERE image.state = 'failed')
    OR cancelled_count <> count(image.id) FILTER (WHERE image.state = 'cancelled');

SELECT 'counter-tasks', format('job %s: %s', job.id, row(task_count, live_task_count))
FROM job LEFT JOIN task ON task.job_id = job.id
GROUP BY job.id, task_count, live_task_count
HAVING task_count <> count(task.id)
    OR live_task_count <> count(task.id) FILTER (WHERE task.state IN ('ready', 'drafted'));

SELECT 'counter-undelivered', format('task %s: %s', task.id, undelivered)
FROM task LEFT JOIN image ON image.task_id = task.id
WHERE task.state IN ('ready', 'succeeded')
GROUP BY task.id, undelivered
HAVING undelivered <> count(image.id) FILTER (WHERE image.state = 'waiting');

-- Events are numbered from 1 without a gap, and tell of each delivery once.
SELECT 'event-lost', format('job %s has %s of %s events, the last is %s', job.id, count(event.number),
    job.event_count, max(event.number))
FROM job LEFT JOIN event ON event.job_id = job.id
GROUP BY job.id, job.event_count
HAVING count(event.number) <> job.event_count OR coalesce(max(event.number), 0) <> job.event_count;

SELECT 'delivery-told-otherwise', format('job %s: %s events of %s deliveries', job.id, told.count, job.delivered_count)
FROM job CROSS JOIN LATERAL (
    SELECT count(*) FROM event WHERE event.job_id = job.id AND kind = 'image.delivered'
) AS told
WHERE told.count <> job.delivered_count;

-- What was delivered was delivered before its attempt ended otherwise: events are numbered as they were committed.
SELECT 'stale-delivery', format('job %s event %s: image %s was delivered by attempt %s, over since event %s',
    delivered.job_id, delivered.number, delivered.data ->> 'image', delivered.data ->> 'attempt', ended.number)
FROM event AS delivered JOIN event AS ended ON ended.job_id = delivered.job_id
    AND ended.data ->> 'attempt' = delivered.data ->> 'attempt' AND ended.number < delivered.number
WHERE delivered.kind = 'image.delivered'
    AND ended.kind IN ('task.lapsed', 'task.released', 'task.failed_attempt');

-- The last attempt at a task that succeeded delivered something of it.
SELECT 'success-of-another', format('task %s succeeded by attempt %s, which delivered nothing', task.id, attempt.id)
FROM task JOIN attempt ON attempt.task_id = task.id AND attempt.epoch = task.epoch
WHERE task.state = 'succeeded' AND attempt.outcome = 'succeeded'
    AND NOT EXISTS (SELECT FROM output WHERE output.attempt_id = attempt.id);
