-- oldest-binary: 0.2.0
--
-- The farm's queue: heads, a narrow table of what can be claimed, leases, and history apart.
--
-- A ready task stands under a head: one job's tasks with one requirement. A claim picks heads, then
-- locks inside them, so that its cost does not grow with the queue. It moves a row from `ready` to
-- `lease`, both small and hot, and touches nothing else; `task`, `image`, `attempt`, `output` and
-- `event` are history that is written once or twice. That a task is leased, or blocked with its
-- head, and that an image is being rendered, is derived and not stored.
--
-- Tables with a row an image have no foreign keys: each check would lock, and so write, the parent's
-- row. A job is deleted with all its rows in one transaction.
--
-- Locks are taken in this order: head, ready (claims skip), lease by task, task, image, job, worker.

-- What the farm as a whole knows; one row.
CREATE TABLE farm (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    is_paused boolean NOT NULL DEFAULT false,
    -- The id in the blob store's probe; another store is refused.
    blob_store_id text
);
INSERT INTO farm DEFAULT VALUES;

-- Owners, their share of the farm, and what they were charged.
CREATE TABLE account (
    owner text PRIMARY KEY CHECK (owner <> ''),
    weight double precision NOT NULL DEFAULT 1 CHECK (weight > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
-- An owner's charge in floating point operations, decayed to `charged_at`, in slots so that
-- settlements at the same moment do not wait for each other; the charge is the sum of its slots.
CREATE TABLE account_usage (
    owner text NOT NULL REFERENCES account (owner) ON DELETE CASCADE,
    slot smallint NOT NULL,
    charge double precision NOT NULL CHECK (charge >= 0),
    charged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, slot)
) WITH (fillfactor = 50);

-- Bearer tokens: the hash alone.
CREATE TABLE token (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner text NOT NULL CHECK (owner <> ''),
    role text NOT NULL CHECK (role IN ('viewer', 'submitter', 'operator', 'admin', 'worker')),
    hash text NOT NULL CONSTRAINT token_hash_once UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE pool (
    name text PRIMARY KEY CHECK (name <> ''),
    is_paused boolean NOT NULL DEFAULT false
);

-- Files of a registered model, for workers that fetch it.
ALTER TABLE model
    ADD COLUMN is_default boolean NOT NULL DEFAULT false,
    -- What predicts cost: the transformer's geometry, as its first worker said.
    ADD COLUMN cost_constants jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN removed_at timestamptz;
CREATE UNIQUE INDEX model_default_once ON model (is_default) WHERE is_default;
CREATE TABLE model_file (
    model_name text NOT NULL REFERENCES model (name) ON DELETE CASCADE,
    path text NOT NULL CHECK (path <> ''),
    digest text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    PRIMARY KEY (model_name, path)
);

ALTER TABLE worker
    -- The process: a registration by another process of the same name is a new epoch.
    ADD COLUMN instance text NOT NULL DEFAULT '',
    ADD COLUMN numeric_class text NOT NULL DEFAULT '',
    -- Floating point operations a second: as registered, then as measured by its steps.
    ADD COLUMN speed double precision NOT NULL DEFAULT 0 CHECK (speed >= 0),
    -- What an operator wants of it; the state follows when the worker says so.
    ADD COLUMN desired_state text NOT NULL DEFAULT 'run'
        CHECK (desired_state IN ('run', 'drain', 'sleep', 'quarantine')),
    ADD COLUMN state_reason text,
    ADD COLUMN info jsonb NOT NULL DEFAULT '{}',
    -- Failures in a row, without a success between, and the jobs they were in.
    ADD COLUMN failures_in_a_row integer NOT NULL DEFAULT 0 CHECK (failures_in_a_row >= 0);

ALTER TABLE job
    ADD COLUMN after_jobs uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN start_after timestamptz,
    ADD COLUMN max_workers integer CHECK (max_workers > 0),
    ADD COLUMN max_failures integer CHECK (max_failures > 0),
    ADD COLUMN is_same_class boolean NOT NULL DEFAULT false,
    ADD COLUMN numeric_class text,
    ADD COLUMN webhook text,
    -- Why it was stopped by the farm itself (too many failures, a failed dependency).
    ADD COLUMN reason text,
    ADD COLUMN cost double precision NOT NULL DEFAULT 0 CHECK (cost >= 0),
    -- Counters, equal to the sums over image and task by construction.
    ADD COLUMN image_count integer NOT NULL DEFAULT 0 CHECK (image_count >= 0),
    ADD COLUMN delivered_count integer NOT NULL DEFAULT 0 CHECK (delivered_count >= 0),
    ADD COLUMN failed_count integer NOT NULL DEFAULT 0 CHECK (failed_count >= 0),
    ADD COLUMN cancelled_count integer NOT NULL DEFAULT 0 CHECK (cancelled_count >= 0),
    ADD COLUMN task_count integer NOT NULL DEFAULT 0 CHECK (task_count >= 0),
    -- Tasks that are not final.
    ADD COLUMN live_task_count integer NOT NULL DEFAULT 0 CHECK (live_task_count >= 0),
    ADD CONSTRAINT job_counts_within CHECK (
        delivered_count + failed_count + cancelled_count <= image_count
            AND live_task_count <= task_count
    );

-- The reference files, LoRAs and the like that a job names: what a sweep of blobs keeps.
CREATE TABLE job_blob (
    job_id uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    digest text NOT NULL,
    PRIMARY KEY (job_id, digest)
);
CREATE INDEX job_blob_digest ON job_blob (digest);

-- One job's tasks with one requirement. A pause, a dependency or a start time blocks the head, not
-- its tasks one by one: pausing a million tasks changes one row.
CREATE TABLE head (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    owner text NOT NULL REFERENCES account (owner),
    priority integer NOT NULL CHECK (priority BETWEEN 0 AND 100),
    -- Whether an operator lifted the job above the owners' shares.
    is_lifted boolean NOT NULL DEFAULT false,
    model_digest text NOT NULL,
    precision text,
    memory_bytes bigint CHECK (memory_bytes >= 0),
    pool text,
    tags text[] NOT NULL DEFAULT '{}',
    group_size integer NOT NULL DEFAULT 1 CHECK (group_size > 0),
    max_workers integer CHECK (max_workers > 0),
    numeric_class text,
    -- Set for a job of one class whose class the first claim has still to fix.
    awaits_class boolean NOT NULL DEFAULT false,
    blocked_by text CHECK (blocked_by IN ('job_paused', 'dependency', 'start_after')),
    -- No ready task was left when last looked at; an insertion into `ready` clears it.
    is_empty boolean NOT NULL DEFAULT false,
    queued_at timestamptz NOT NULL DEFAULT now(),
    -- When a task of it was last claimed, to a few seconds: bounds how long it goes unserved.
    served_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX head_of_job ON head (job_id);
-- What claims choose among: an owner's open heads, the most urgent, then the oldest.
CREATE INDEX head_open ON head (owner, priority DESC, id) WHERE NOT is_empty AND blocked_by IS NULL;

-- What can be claimed now, and nothing else. In a head the lowest number goes first, so that
-- a task that is tried again is not behind the ones that were never tried.
CREATE TABLE ready (
    head_id bigint NOT NULL,
    -- The task's number in its job.
    number integer NOT NULL,
    task_id uuid NOT NULL,
    job_id uuid NOT NULL,
    -- The last lease's.
    epoch bigint NOT NULL CHECK (epoch >= 0),
    first_index integer NOT NULL,
    image_count integer NOT NULL CHECK (image_count > 0),
    cost double precision NOT NULL CHECK (cost >= 0),
    -- Workers, by name, that failed it.
    avoid text[],
    PRIMARY KEY (head_id, number)
) WITH (autovacuum_vacuum_scale_factor = 0.2, autovacuum_vacuum_cost_delay = 0);

-- Ready tasks that rest until a moment: back-off after a failure.
CREATE TABLE resting (
    task_id uuid PRIMARY KEY,
    head_id bigint NOT NULL,
    until timestamptz NOT NULL,
    avoid text[]
);
-- The wake duty takes what is due.
CREATE INDEX resting_until ON resting (until);
-- Whoever cancels or deletes a job empties its heads.
CREATE INDEX resting_of_head ON resting (head_id);

-- `task` keeps what is decided once: what can be claimed and what is leased are rows elsewhere.
-- Its state is `ready` until it is final; counters and epoch are those of the attempts that ended.
DROP INDEX task_claimable;
DROP INDEX task_lease;
DROP INDEX task_held;
DROP INDEX task_live;
ALTER TABLE task
    DROP CONSTRAINT task_job_id_fkey,
    DROP CONSTRAINT task_lease_when_leased,
    ADD COLUMN head_id bigint,
    ADD COLUMN first_index integer NOT NULL DEFAULT 0 CHECK (first_index >= 0),
    ADD COLUMN image_count integer NOT NULL DEFAULT 1 CHECK (image_count > 0),
    ADD COLUMN undelivered integer NOT NULL DEFAULT 1 CHECK (undelivered >= 0),
    ADD COLUMN cost double precision NOT NULL DEFAULT 0 CHECK (cost >= 0);

-- The right to work on a task until a deadline: at most one a task, by its key. Heartbeats
-- change it without touching an index; the expiry duty reads all of it, a few thousand rows.
CREATE TABLE lease (
    task_id uuid PRIMARY KEY,
    attempt_id uuid NOT NULL,
    epoch bigint NOT NULL CHECK (epoch > 0),
    job_id uuid NOT NULL,
    head_id bigint NOT NULL,
    owner text NOT NULL,
    worker_id uuid NOT NULL,
    -- Predicted floating point operations, charged to the owner while it lasts.
    cost double precision NOT NULL DEFAULT 0,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    deadline timestamptz NOT NULL,
    -- Begun by its worker; NULL while it waits there behind another.
    begun_at timestamptz,
    -- The last step's time, and when no step, or the whole, counts as hung.
    stepped_at timestamptz,
    step_limit interval,
    time_limit interval,
    image_index integer,
    step integer NOT NULL DEFAULT 0,
    steps integer NOT NULL DEFAULT 0,
    step_seconds real,
    -- Set when it is to stop: the next heartbeat says so.
    cancel_mode text CHECK (cancel_mode IN ('after_step', 'now'))
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 0
);

-- Attempts that are over; the one that runs is the lease.
ALTER TABLE attempt
    DROP CONSTRAINT attempt_task_id_fkey,
    DROP CONSTRAINT attempt_worker_id_fkey,
    ADD COLUMN job_id uuid,
    ADD COLUMN worker_name text NOT NULL DEFAULT '',
    ADD COLUMN numeric_class text NOT NULL DEFAULT '',
    -- What it was charged, in floating point operations.
    ADD COLUMN cost double precision NOT NULL DEFAULT 0,
    ADD COLUMN steps_computed bigint NOT NULL DEFAULT 0,
    ADD COLUMN conditions_computed integer NOT NULL DEFAULT 0,
    ADD COLUMN conditions_found integer NOT NULL DEFAULT 0,
    ADD COLUMN busy_seconds double precision NOT NULL DEFAULT 0;

-- What was delivered: once an image, by its key.
CREATE TABLE output (
    image_id uuid PRIMARY KEY,
    job_id uuid NOT NULL,
    digest text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    attempt_id uuid NOT NULL,
    numeric_class text NOT NULL DEFAULT '',
    delivered_at timestamptz NOT NULL DEFAULT now()
);

-- Failures of tasks, by the worker's name: who is not to try a task or a job again.
CREATE TABLE failure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id uuid NOT NULL,
    job_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    worker_name text NOT NULL,
    failure_class text NOT NULL,
    message text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX failure_of_task ON failure (task_id);
CREATE INDEX failure_of_worker ON failure (worker_name, job_id);

-- Pairs that are kept apart: three failures of a worker in a job.
CREATE TABLE worker_block (
    job_id uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    worker_name text NOT NULL,
    blocked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, worker_name)
);

-- What happened to a job, numbered in commit order by `job.event_count` under the job's lock.
CREATE TABLE event (
    job_id uuid NOT NULL,
    number bigint NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (job_id, number)
);

-- Webhooks to be sent, written with the change they tell of.
CREATE TABLE webhook (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL,
    url text NOT NULL,
    body jsonb NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    given_up_at timestamptz,
    last_error text
);
CREATE INDEX webhook_due ON webhook (due_at) WHERE sent_at IS NULL AND given_up_at IS NULL;

-- The latest checkpoint of an image that is not delivered.
CREATE TABLE checkpoint (
    task_id uuid NOT NULL,
    image_index integer NOT NULL,
    digest text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    step integer NOT NULL CHECK (step > 0),
    numeric_class text NOT NULL,
    attempt_id uuid NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, image_index)
);

-- Computed conditions, found by what determines them.
CREATE TABLE artifact (
    owner text NOT NULL,
    key text NOT NULL,
    digest text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    stored_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);

-- Lines that workers logged of an attempt.
CREATE TABLE log_line (
    attempt_id uuid NOT NULL,
    number integer NOT NULL,
    task_id uuid NOT NULL,
    at timestamptz NOT NULL,
    level text NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (attempt_id, number)
);
CREATE INDEX log_line_of_task ON log_line (task_id, at);

-- Who changed what; nothing is taken away from it.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);

-- Moves the rows of 0001 over.

INSERT INTO account (owner) SELECT DISTINCT owner FROM job;
INSERT INTO pool (name) SELECT DISTINCT pool FROM worker;

-- Leases end: what was at a worker is ready again, under an epoch that is not current any more.
UPDATE attempt SET finished_at = now(), outcome = 'released' WHERE finished_at IS NULL;
UPDATE attempt SET job_id = task.job_id, worker_name = worker.name
FROM task, worker WHERE task.id = attempt.task_id AND worker.id = attempt.worker_id;
ALTER TABLE attempt
    ALTER COLUMN job_id SET NOT NULL,
    ALTER COLUMN finished_at SET NOT NULL,
    ALTER COLUMN finished_at SET DEFAULT now(),
    ALTER COLUMN outcome SET NOT NULL,
    DROP CONSTRAINT attempt_finished_has_outcome,
    ADD CONSTRAINT attempt_failed_has_reason CHECK (
        outcome NOT IN ('failed', 'lapsed')
            OR (failure_class IS NOT NULL AND failure_message IS NOT NULL)
    );

UPDATE image SET state = 'waiting' WHERE state = 'rendering';
INSERT INTO output (image_id, job_id, digest, size, attempt_id, delivered_at)
SELECT id, job_id, output_digest, output_size, attempt_id, delivered_at
FROM image WHERE state = 'delivered';
INSERT INTO failure (task_id, job_id, attempt_id, worker_name, failure_class, message, failed_at)
SELECT task_id, job_id, id, worker_name, failure_class, failure_message, finished_at
FROM attempt WHERE outcome IN ('failed', 'lapsed');

INSERT INTO head (job_id, owner, priority, model_digest, precision, blocked_by, queued_at)
SELECT id, owner, priority, model_digest, precision,
    CASE WHEN state = 'paused' THEN 'job_paused' END, created_at
FROM job ORDER BY created_at, id;
UPDATE task SET state = 'ready' WHERE state IN ('blocked', 'leased');
UPDATE task SET head_id = head.id, first_index = held.first_index,
    image_count = held.image_count, undelivered = held.undelivered
FROM head, (
    SELECT task_id, min(index) AS first_index, count(*) AS image_count,
        count(*) FILTER (WHERE state <> 'delivered') AS undelivered
    FROM image GROUP BY task_id
) AS held
WHERE head.job_id = task.job_id AND held.task_id = task.id;
INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index, image_count, cost)
SELECT head_id, number, id, job_id, epoch, first_index, image_count, cost
FROM task WHERE state = 'ready' AND ready_at <= now();
INSERT INTO resting (task_id, head_id, until)
SELECT id, head_id, ready_at FROM task WHERE state = 'ready' AND ready_at > now();
UPDATE head SET is_empty = true
WHERE NOT EXISTS (SELECT FROM ready WHERE ready.head_id = head.id);

UPDATE job SET image_count = image.n, delivered_count = image.delivered,
    failed_count = image.failed, cancelled_count = image.cancelled
FROM (
    SELECT job_id, count(*) AS n, count(*) FILTER (WHERE state = 'delivered') AS delivered,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'cancelled') AS cancelled
    FROM image GROUP BY job_id
) AS image WHERE image.job_id = job.id;
UPDATE job SET task_count = task.n, live_task_count = task.live
FROM (
    SELECT job_id, count(*) AS n, count(*) FILTER (WHERE state = 'ready') AS live
    FROM task GROUP BY job_id
) AS task WHERE task.job_id = job.id;

-- Takes away what moved, and with it the indexes and constraints of the columns.

ALTER TABLE task
    DROP COLUMN priority,
    DROP COLUMN model_digest,
    DROP COLUMN precision,
    DROP COLUMN max_attempts,
    DROP COLUMN ready_at,
    DROP COLUMN queued_at,
    DROP COLUMN attempt_id,
    DROP COLUMN worker_id,
    DROP COLUMN lease_deadline,
    ALTER COLUMN id DROP DEFAULT,
    ALTER COLUMN head_id SET NOT NULL,
    ALTER COLUMN first_index DROP DEFAULT,
    ALTER COLUMN image_count DROP DEFAULT,
    ALTER COLUMN undelivered DROP DEFAULT,
    ADD CONSTRAINT task_state_stored CHECK (state NOT IN ('blocked', 'leased')),
    ADD CONSTRAINT task_undelivered_within CHECK (undelivered <= image_count),
    ADD CONSTRAINT task_succeeded_has_all CHECK (state <> 'succeeded' OR undelivered = 0),
    -- Room for the one update of most tasks, so that it touches no index.
    SET (fillfactor = 60);

DROP INDEX image_of_task;
ALTER TABLE image
    DROP COLUMN name,
    DROP COLUMN seed,
    DROP COLUMN parameters,
    DROP COLUMN output_digest,
    DROP COLUMN output_size,
    DROP COLUMN attempt_id,
    DROP COLUMN delivered_at,
    DROP CONSTRAINT image_job_id_fkey,
    DROP CONSTRAINT image_task_id_fkey,
    ALTER COLUMN id DROP DEFAULT,
    ADD CONSTRAINT image_state_stored CHECK (state <> 'rendering'),
    SET (fillfactor = 50);

-- A job's row changes with each of its images; its specification does not move with it.
ALTER TABLE job SET (fillfactor = 50, toast_tuple_target = 512);
