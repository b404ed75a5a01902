-- oldest-binary: 0.2.0
--
-- A job may stop each of its images after some steps, as a draft with a checkpoint and a picture, until a
-- person keeps it, which lets it go on, or drops it.

ALTER TABLE image
    DROP CONSTRAINT image_state_known,
    ADD CONSTRAINT image_state_known CHECK (
        state IN ('waiting', 'rendering', 'drafted', 'delivered', 'failed', 'cancelled')
    );

-- A draft is nowhere in the queue: only a person's decision changes it.
ALTER TABLE task
    DROP CONSTRAINT task_state_known,
    ADD CONSTRAINT task_state_known CHECK (
        state IN ('blocked', 'ready', 'leased', 'drafted', 'succeeded', 'failed', 'cancelled')
    ),
    ADD CONSTRAINT task_drafted_waits_for_none CHECK (state <> 'drafted' OR undelivered = 0);

ALTER TABLE attempt
    DROP CONSTRAINT attempt_outcome_known,
    ADD CONSTRAINT attempt_outcome_known CHECK (
        outcome IN ('succeeded', 'failed', 'lapsed', 'released', 'cancelled', 'parked', 'drafted')
    );

ALTER TABLE job
    -- After how many steps each of its images waits; NULL where none does.
    ADD COLUMN draft_steps integer CHECK (draft_steps > 0),
    -- Images, and with them tasks, that wait for a person. A job that runs and has no other live task is a
    -- draft itself: that is derived.
    ADD COLUMN drafted_count integer NOT NULL DEFAULT 0 CHECK (drafted_count >= 0),
    -- Of the cancelled images those that were dropped: they do not make the job fail.
    ADD COLUMN dropped_count integer NOT NULL DEFAULT 0 CHECK (dropped_count >= 0),
    DROP CONSTRAINT job_state_known,
    ADD CONSTRAINT job_state_known CHECK (
        state IN ('pending', 'running', 'paused', 'drafted', 'succeeded', 'failed', 'cancelled')
    ),
    ADD CONSTRAINT job_state_stored CHECK (state <> 'drafted'),
    DROP CONSTRAINT job_counts_within,
    ADD CONSTRAINT job_counts_within CHECK (
        delivered_count + failed_count + cancelled_count + drafted_count <= image_count
            AND live_task_count <= task_count AND drafted_count <= live_task_count
            AND dropped_count <= cancelled_count
    );

-- The draft of an image, from its making on; what was decided stays with it.
CREATE TABLE draft (
    image_id uuid PRIMARY KEY,
    job_id uuid NOT NULL,
    task_id uuid NOT NULL,
    step integer NOT NULL CHECK (step > 0),
    -- Its picture; NULL where that is kept no longer.
    digest text,
    size bigint NOT NULL CHECK (size >= 0),
    media_type text NOT NULL,
    attempt_id uuid NOT NULL,
    drafted_at timestamptz NOT NULL DEFAULT now(),
    decision text CHECK (decision IN ('kept', 'dropped', 'expired')),
    decided_at timestamptz,
    CONSTRAINT draft_decided_whole CHECK ((decision IS NULL) = (decided_at IS NULL)),
    CONSTRAINT draft_waits_with_picture CHECK (digest IS NOT NULL OR decision IS NOT NULL)
);
CREATE INDEX draft_of_job ON draft (job_id);
-- The sweep of blobs asks which are named.
CREATE INDEX draft_digest ON draft (digest);
-- The drafts duty looks for those that wait for too long.
CREATE INDEX draft_undecided ON draft (drafted_at) WHERE decision IS NULL;
