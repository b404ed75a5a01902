-- oldest-binary: 0.2.0
--
-- A job that is submitted before any worker tells its speed is cut into tasks of one image; a job some of
-- whose failed images are tried again is not given up for those that are left.

ALTER TABLE job
    -- What its tasks are still to be cut for, in seconds; NULL where they are.
    ADD COLUMN target_seconds double precision CHECK (target_seconds >= 0),
    -- Failed images that were left when others were tried again: they do not end the job a second time.
    ADD COLUMN forgiven_count integer NOT NULL DEFAULT 0 CHECK (forgiven_count >= 0);

-- Looked for every second, and there is hardly ever one.
CREATE INDEX job_unsized ON job (id) WHERE target_seconds IS NOT NULL AND finished_at IS NULL;
