-- oldest-binary: 0.2.0
--
-- A job that is submitted before any worker tells its speed is cut into tasks of one image.

ALTER TABLE job
    -- What its tasks are still to be cut for, in seconds; NULL where they are.
    ADD COLUMN target_seconds double precision CHECK (target_seconds >= 0);

-- Looked for every second, and there is hardly ever one.
CREATE INDEX job_unsized ON job (id) WHERE target_seconds IS NOT NULL AND finished_at IS NULL;
