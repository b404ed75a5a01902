-- oldest-binary: 0.2.0
--
-- What an owner may use at most, and named limits that jobs of all owners share.

ALTER TABLE account
    -- Images of it that are leased at one time.
    ADD COLUMN max_images integer CHECK (max_images >= 0),
    -- Bytes of the blobs that it holds and of its pictures.
    ADD COLUMN max_blob_bytes bigint CHECK (max_blob_bytes >= 0),
    -- The highest priority that its own people may give.
    ADD COLUMN priority_ceiling integer CHECK (priority_ceiling BETWEEN 0 AND 100),
    -- Seconds of workers within a sliding period, and what is done when they are used up.
    ADD COLUMN budget_seconds double precision CHECK (budget_seconds >= 0 AND budget_seconds < 'Infinity'),
    ADD COLUMN budget_period text CHECK (budget_period IN ('day', 'week', 'month')),
    ADD COLUMN budget_action text CHECK (budget_action IN ('warn', 'hold')),
    -- As last measured; uploads are added at once.
    ADD COLUMN blob_bytes bigint NOT NULL DEFAULT 0 CHECK (blob_bytes >= 0),
    ADD COLUMN blobs_measured_at timestamptz,
    -- Seconds that were settled in all and are in `account_compute` by now.
    ADD COLUMN compute_settled double precision NOT NULL DEFAULT 0,
    -- Seconds within the budget's period, those that run included, as last counted.
    ADD COLUMN compute_seconds double precision NOT NULL DEFAULT 0,
    -- The part of the budget, in percent, that was told of last, and when.
    ADD COLUMN budget_told integer NOT NULL DEFAULT 0,
    ADD COLUMN budget_told_at timestamptz,
    ADD CONSTRAINT account_budget_whole CHECK (
        (budget_seconds IS NULL) = (budget_period IS NULL)
            AND (budget_seconds IS NULL) = (budget_action IS NULL)
    );

-- Seconds of workers, of attempts that are over, for ever: the duty that counts budgets reads how much it
-- has grown. It is written with the charge, so that the end of an attempt writes no other row.
ALTER TABLE account_usage
    ADD COLUMN compute_seconds double precision NOT NULL DEFAULT 0 CHECK (compute_seconds >= 0);

-- The same by the hour in which the attempts ended; a deleted job's stay.
CREATE TABLE account_compute (
    owner text NOT NULL REFERENCES account (owner) ON DELETE CASCADE,
    hour timestamptz NOT NULL,
    seconds double precision NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (owner, hour)
);

ALTER TABLE lease
    -- The images that were leased, and the workers that render them together.
    ADD COLUMN image_count integer NOT NULL DEFAULT 1 CHECK (image_count >= 0),
    ADD COLUMN ranks integer NOT NULL DEFAULT 1 CHECK (ranks > 0);

-- NULL for those from before: the duty asks the blob store.
ALTER TABLE blob_holder ADD COLUMN size bigint CHECK (size >= 0);
CREATE INDEX blob_holder_of_owner ON blob_holder (owner);

-- A number of places that tasks of any job take while they are leased, as the licences of a program.
CREATE TABLE named_limit (
    name text PRIMARY KEY CHECK (name <> ''),
    count integer NOT NULL CHECK (count >= 0),
    set_at timestamptz NOT NULL DEFAULT now()
);

-- The limits of which each leased task takes a place.
ALTER TABLE head ADD COLUMN limits text[] NOT NULL DEFAULT '{}';
