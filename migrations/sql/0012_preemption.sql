-- oldest-binary: 0.2.0
--
-- A task of a higher band of priority may take the place of one that renders: that one is parked, with a
-- checkpoint, and the worker is promised the task that is to take its place.

-- The task for which it is to be parked: the next heartbeat says so.
ALTER TABLE lease ADD COLUMN park_for uuid;

-- The worker that it is promised to: others leave it alone. A row is written anew with it, never updated.
ALTER TABLE ready ADD COLUMN promised uuid;
CREATE INDEX ready_promised ON ready (promised) WHERE promised IS NOT NULL;

ALTER TABLE worker
    -- Whether it parks what it renders when it is told to.
    ADD COLUMN parks boolean NOT NULL DEFAULT false,
    -- The task that it claims before any other, and until when that is kept for it.
    ADD COLUMN promised_task uuid,
    ADD COLUMN promised_head bigint,
    ADD COLUMN promised_number integer,
    ADD COLUMN promised_until timestamptz,
    ADD CONSTRAINT worker_promise_whole CHECK (
        (promised_task IS NULL) = (promised_head IS NULL)
            AND (promised_task IS NULL) = (promised_number IS NULL)
            AND (promised_task IS NULL) = (promised_until IS NULL)
    );
CREATE INDEX worker_promised ON worker (id) WHERE promised_task IS NOT NULL;

-- How often it was parked.
ALTER TABLE task ADD COLUMN parks integer NOT NULL DEFAULT 0 CHECK (parks >= 0);

ALTER TABLE attempt
    DROP CONSTRAINT attempt_outcome_check,
    ADD CONSTRAINT attempt_outcome_known CHECK (
        outcome IN ('succeeded', 'failed', 'lapsed', 'released', 'cancelled', 'parked')
    ),
    -- Where a parked one was, and the job whose task took its place.
    ADD COLUMN parked_image integer CHECK (parked_image >= 0),
    ADD COLUMN parked_step integer CHECK (parked_step >= 0),
    ADD COLUMN parked_for uuid;

-- The duty looks every second whether one of these waits; there is hardly ever one.
CREATE INDEX head_lifted ON head (id) WHERE is_lifted AND NOT is_empty AND blocked_by IS NULL;
