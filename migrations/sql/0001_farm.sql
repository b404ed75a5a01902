-- oldest-binary: 0.1.0
--
-- The farm's first tables: models, workers, jobs, tasks, images, attempts.
--
-- State names are the case names of FarmModel's enums. CHECK constraints restate what each state
-- has; which state follows which is FarmStore's, statement by statement.

-- A registered name that resolves to a digest at submit.
CREATE TABLE model (
    name text PRIMARY KEY CHECK (name <> ''),
    digest text NOT NULL CONSTRAINT model_digest_once UNIQUE,
    -- What a job that leaves a key out takes (size, steps, guidance), as its first worker said.
    defaults jsonb NOT NULL DEFAULT '{}',
    recorded_at timestamptz NOT NULL DEFAULT now(),
    -- Which was recorded first is the farm's default: equal moments do not leave that open.
    number bigint GENERATED ALWAYS AS IDENTITY
);

CREATE TABLE worker (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    -- Counts the registrations of this id.
    epoch bigint NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'starting' CHECK (
        state IN ('starting', 'idle', 'busy', 'draining', 'asleep', 'quarantined', 'lost')
    ),
    pool text NOT NULL DEFAULT 'default',
    model_name text NOT NULL REFERENCES model (name),
    model_digest text NOT NULL,
    precision text NOT NULL,
    memory_bytes bigint NOT NULL DEFAULT 0 CHECK (memory_bytes >= 0),
    engine text NOT NULL DEFAULT '',
    tags text[] NOT NULL DEFAULT '{}',
    registered_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now()
);

-- The expiry duty looks for silent workers among the living ones only.
CREATE INDEX worker_living ON worker (last_seen_at) WHERE state <> 'lost';

CREATE TABLE job (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner text NOT NULL CHECK (owner <> ''),
    -- Chosen by the client; a submit of the same key attaches to the job that is there.
    key text,
    name text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CONSTRAINT job_state_known CHECK (
        state IN ('pending', 'running', 'paused', 'succeeded', 'failed', 'cancelled')
    ),
    priority integer NOT NULL DEFAULT 50 CHECK (priority BETWEEN 0 AND 100),
    specification jsonb NOT NULL,
    -- Equal for specifications that mean the same.
    canonical_digest text NOT NULL,
    -- Fixed at submit: a name that later means another digest does not change the job.
    model_name text NOT NULL,
    model_digest text NOT NULL,
    -- The precision that its workers must have; NULL is any.
    precision text,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    -- Counts the job's events under its row lock, so that event ids are in commit order.
    event_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT job_finished_when_final CHECK (
        (finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))
    ),
    CONSTRAINT job_started_when_run CHECK (
        started_at IS NOT NULL OR state IN ('pending', 'paused', 'cancelled')
    )
);

-- The key is the owner's; this is also what makes a submit idempotent.
CREATE UNIQUE INDEX job_key_once ON job (owner, key) WHERE key IS NOT NULL;

-- Lists run from the newest, of one owner or of all.
CREATE INDEX job_newest ON job (created_at DESC, id DESC);
CREATE INDEX job_newest_of_owner ON job (owner, created_at DESC, id DESC);

CREATE TABLE task (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    -- The place in its job.
    number integer NOT NULL CHECK (number >= 0),
    state text NOT NULL DEFAULT 'ready' CONSTRAINT task_state_known CHECK (
        state IN ('blocked', 'ready', 'leased', 'succeeded', 'failed', 'cancelled')
    ),
    -- Copies of the job's, so that a claim reads one narrow index.
    priority integer NOT NULL,
    model_digest text NOT NULL,
    precision text,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    -- Not to be claimed before: a start time, or back-off after a failure.
    ready_at timestamptz NOT NULL DEFAULT now(),
    queued_at timestamptz NOT NULL DEFAULT now(),
    -- How many attempts ended in a failure that counts, and how many leases lapsed among them.
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    lapses integer NOT NULL DEFAULT 0 CHECK (lapses >= 0 AND lapses <= failures),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Counts the leases; a write with an older one is stale.
    epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    attempt_id uuid,
    worker_id uuid REFERENCES worker (id),
    lease_deadline timestamptz,
    failure_class text,
    failure_message text,
    finished_at timestamptz,
    CONSTRAINT task_number_once UNIQUE (job_id, number),
    CONSTRAINT task_lease_when_leased CHECK (
        CASE WHEN state = 'leased'
            THEN attempt_id IS NOT NULL AND worker_id IS NOT NULL AND lease_deadline IS NOT NULL
            ELSE attempt_id IS NULL AND worker_id IS NULL AND lease_deadline IS NULL
        END
    ),
    CONSTRAINT task_finished_when_final CHECK (
        (finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))
    ),
    CONSTRAINT task_failed_has_reason CHECK (
        state <> 'failed' OR (failure_class IS NOT NULL AND failure_message IS NOT NULL)
    )
);

-- A claim walks the ready tasks of its model in order of priority, then age; finished tasks, the
-- many, are not in it.
CREATE INDEX task_claimable ON task (model_digest, priority DESC, queued_at, job_id, number)
    WHERE state = 'ready';

-- The expiry duty walks leases in order of their deadline.
CREATE INDEX task_lease ON task (lease_deadline) WHERE state = 'leased';

-- Heartbeats and the end of a worker look for what it holds.
CREATE INDEX task_held ON task (worker_id) WHERE state = 'leased';

-- A job's state depends on whether any of its tasks is still live.
CREATE INDEX task_live ON task (job_id) WHERE state IN ('blocked', 'ready', 'leased');

CREATE TABLE attempt (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id uuid NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    worker_id uuid NOT NULL REFERENCES worker (id),
    epoch bigint NOT NULL CHECK (epoch > 0),
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    outcome text CHECK (
        outcome IN ('succeeded', 'failed', 'lapsed', 'released', 'cancelled')
    ),
    failure_class text,
    failure_message text,
    CONSTRAINT attempt_epoch_once UNIQUE (task_id, epoch),
    CONSTRAINT attempt_finished_has_outcome CHECK ((finished_at IS NULL) = (outcome IS NULL))
);

CREATE TABLE image (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    task_id uuid NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    -- The point's place in the job's parameter space; it never changes.
    index integer NOT NULL CHECK (index >= 0),
    name text NOT NULL CHECK (name <> ''),
    seed bigint NOT NULL,
    parameters jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CONSTRAINT image_state_known CHECK (
        state IN ('waiting', 'rendering', 'delivered', 'failed', 'cancelled')
    ),
    output_digest text,
    output_size bigint CHECK (output_size >= 0),
    -- The attempt that delivered it.
    attempt_id uuid REFERENCES attempt (id),
    delivered_at timestamptz,
    failure_class text,
    failure_message text,
    CONSTRAINT image_index_once UNIQUE (job_id, index),
    CONSTRAINT image_name_once UNIQUE (job_id, name),
    CONSTRAINT image_output_when_delivered CHECK (
        CASE WHEN state = 'delivered'
            THEN output_digest IS NOT NULL AND output_size IS NOT NULL
                AND attempt_id IS NOT NULL AND delivered_at IS NOT NULL
            ELSE output_digest IS NULL AND output_size IS NULL
                AND attempt_id IS NULL AND delivered_at IS NULL
        END
    ),
    CONSTRAINT image_failed_has_reason CHECK (
        state <> 'failed' OR (failure_class IS NOT NULL AND failure_message IS NOT NULL)
    )
);

-- A claim, and every end of an attempt, reads the images of its task.
CREATE INDEX image_of_task ON image (task_id, index);

-- When each periodic duty last ran: a long gap means that nobody looked, not that workers died.
CREATE TABLE duty (
    name text PRIMARY KEY,
    last_run_at timestamptz NOT NULL
);
