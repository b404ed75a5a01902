-- oldest-binary: 0.2.0
--
-- Failures are an image's, not its task's: a chunk goes on without the images that failed.

-- Each reading of the queue asks which workers failed what can be claimed now, a few rows of many.
CREATE INDEX ready_avoided ON ready (head_id) WHERE avoid IS NOT NULL;

ALTER TABLE task
    -- Images of it, while it is not over, that failed or were cancelled when the farm gave the job
    -- up: with one of them it does not end in success.
    ADD COLUMN given_up integer NOT NULL DEFAULT 0 CHECK (given_up >= 0),
    -- Claimed one image at a time, so that the one that makes it fail is known.
    ADD COLUMN is_narrow boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT task_succeeded_gave_nothing_up CHECK (state <> 'succeeded' OR given_up = 0),
    ADD CONSTRAINT task_given_up_has_reason CHECK (
        given_up = 0 OR (failure_class IS NOT NULL AND failure_message IS NOT NULL)
    );
ALTER TABLE ready ADD COLUMN is_narrow boolean NOT NULL DEFAULT false;

-- What a retry of some images left behind: a task with a failed image has failed, or will.
UPDATE task SET given_up = CASE WHEN task.state = 'ready' THEN lost.images ELSE 0 END,
    state = CASE WHEN task.state = 'succeeded' THEN 'failed' ELSE task.state END,
    failure_class = coalesce(task.failure_class, lost.failure_class),
    failure_message = coalesce(task.failure_message, lost.failure_message)
FROM (
    SELECT task_id, count(*) AS images, (array_agg(failure_class ORDER BY index))[1] AS failure_class,
        (array_agg(failure_message ORDER BY index))[1] AS failure_message
    FROM image WHERE state = 'failed' GROUP BY task_id
) AS lost
WHERE task.id = lost.task_id AND task.state IN ('ready', 'succeeded');

-- A job that was given up, and ended in success when only what had failed was tried again.
UPDATE job SET state = 'failed', reason = 'given up: the rest of it was cancelled'
WHERE state = 'succeeded' AND cancelled_count > 0;
