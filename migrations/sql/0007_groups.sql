-- oldest-binary: 0.2.0
--
-- Groups: workers of one pool, model and precision that hold one sharded model, leased and failed as
-- one. The worker of rank 0 claims and delivers for its group, so that leases stay as they are.
--
-- A group is locked before everything else, heads too.

CREATE TABLE worker_group (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name <> ''),
    state text NOT NULL DEFAULT 'forming' CONSTRAINT worker_group_state_known CHECK (
        state IN ('forming', 'ready', 'busy', 'draining', 'dissolved')
    ),
    -- A group is busy while the worker of its first rank holds a lease: no row says it again.
    CONSTRAINT worker_group_state_stored CHECK (state <> 'busy'),
    origin text NOT NULL CHECK (origin IN ('named', 'needed', 'operator')),
    pool text NOT NULL,
    model_name text NOT NULL,
    model_digest text NOT NULL,
    precision text NOT NULL,
    -- Of which class each member is alone: those of another one would make other pictures.
    member_class text NOT NULL DEFAULT '',
    size integer NOT NULL CHECK (size > 1),
    -- The size that was asked for: it has fewer members where no others were to be had.
    wanted_size integer NOT NULL,
    -- Counts the times that its members had to find each other anew.
    epoch bigint NOT NULL DEFAULT 1 CHECK (epoch > 0),
    -- By which members of the epoch know each other: 32 bytes in base64.
    secret text NOT NULL CONSTRAINT worker_group_secret_whole CHECK (length(secret) = 44),
    numeric_class text NOT NULL DEFAULT '',
    speed double precision NOT NULL DEFAULT 0 CHECK (speed >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    epoch_at timestamptz NOT NULL DEFAULT now(),
    formed_at timestamptz,
    -- How long the members of this epoch took to be ready.
    formation_seconds double precision CHECK (formation_seconds >= 0),
    -- When its members have finished what they held at its reservation; NULL once they have.
    starts_at timestamptz,
    -- When a reservation that did not come to a group is given up; NULL is never.
    expires_at timestamptz,
    -- Since when a seat is of a worker that is not there, and no other can have it.
    lacking_at timestamptz,
    -- Since when there is nothing for it to do.
    idle_at timestamptz,
    -- Why the last epoch ended, or the group.
    reason text,
    dissolved_at timestamptz,
    CONSTRAINT worker_group_size_within CHECK (size <= wanted_size),
    CONSTRAINT worker_group_dissolved_when_final CHECK (
        (dissolved_at IS NOT NULL) = (state IN ('dissolved'))
    ),
    CONSTRAINT worker_group_formed_when_ready CHECK (state <> 'ready' OR formed_at IS NOT NULL)
);

-- A name is a group's while there is one.
CREATE UNIQUE INDEX worker_group_name_once ON worker_group (name) WHERE state <> 'dissolved';

ALTER TABLE worker
    -- Whether it takes part in groups, and in which: NULL in both is any of its model's.
    ADD COLUMN joins_groups boolean NOT NULL DEFAULT false,
    ADD COLUMN offered_group text,
    ADD COLUMN offered_size integer CHECK (offered_size > 1),
    ADD COLUMN renders_alone boolean NOT NULL DEFAULT true,
    -- What its model takes, in bytes: shared between ranks, held by each, and to work in.
    ADD COLUMN sharded_bytes bigint CHECK (sharded_bytes >= 0),
    ADD COLUMN replicated_bytes bigint CHECK (replicated_bytes >= 0),
    ADD COLUMN working_bytes bigint CHECK (working_bytes >= 0),
    -- Into how many ranks its model can be split; NULL is any number.
    ADD COLUMN most_ranks integer CHECK (most_ranks > 0),
    -- Its own class and speed, while the others are those of the group that it leads; else NULL.
    ADD COLUMN own_class text,
    ADD COLUMN own_speed double precision CHECK (own_speed >= 0),
    -- Its seat, which it keeps while it is away and no other worker can have it.
    ADD COLUMN group_id uuid REFERENCES worker_group (id),
    ADD COLUMN group_rank integer CHECK (group_rank >= 0),
    -- What it last said in this epoch.
    ADD COLUMN group_phase text CONSTRAINT worker_group_phase_known CHECK (
        group_phase IN ('reserved', 'loading', 'waiting', 'connecting', 'ready')
    ),
    ADD COLUMN group_address text,
    ADD COLUMN group_figures jsonb,
    -- The class that it told for the group in this epoch.
    ADD COLUMN group_class text,
    -- How many epochs ended by its fault since the group was last ready.
    ADD COLUMN group_breaks integer NOT NULL DEFAULT 0 CHECK (group_breaks >= 0),
    -- Until when it takes no part in groups, since it broke off again and again.
    ADD COLUMN group_unfit_until timestamptz,
    -- When another member said that it does not reach it.
    ADD COLUMN group_missed_at timestamptz,
    ADD CONSTRAINT worker_seat_whole CHECK (
        (group_id IS NULL) = (group_rank IS NULL) AND (group_id IS NULL) = (group_phase IS NULL)
    ),
    ADD CONSTRAINT worker_memory_whole CHECK (
        (sharded_bytes IS NULL) = (replicated_bytes IS NULL)
            AND (sharded_bytes IS NULL) = (working_bytes IS NULL)
    ),
    ADD CONSTRAINT worker_own_whole CHECK ((own_class IS NULL) = (own_speed IS NULL));

-- A seat is one worker's; ranks are dealt anew inside a transaction, hence the deferral.
ALTER TABLE worker ADD CONSTRAINT worker_seat_once UNIQUE (group_id, group_rank)
    DEFERRABLE INITIALLY DEFERRED;

-- How often an attempt at it ended because its group lost a member, since one delivered something.
ALTER TABLE task ADD COLUMN group_losses integer NOT NULL DEFAULT 0 CHECK (group_losses >= 0);

ALTER TABLE job
    -- By when its pictures are wanted, and what the costliest of them takes; NULL is no such moment.
    ADD COLUMN finish_by timestamptz,
    ADD COLUMN costliest_image jsonb,
    ADD CONSTRAINT job_finish_by_costed CHECK (finish_by IS NULL OR costliest_image IS NOT NULL);

-- The groups duty looks at these alone.
CREATE INDEX job_wanted ON job (finish_by) WHERE finish_by IS NOT NULL AND finished_at IS NULL;

-- Why the farm itself made it ask for a group; NULL where it did not.
ALTER TABLE head ADD COLUMN group_reason text;

-- What the network of a pool gave when a group of it last measured it: it outlives the group.
CREATE TABLE pool_link (
    pool text PRIMARY KEY,
    latency_seconds double precision NOT NULL CHECK (latency_seconds >= 0),
    bytes_per_second double precision NOT NULL CHECK (bytes_per_second > 0),
    measured_at timestamptz NOT NULL DEFAULT now()
);
