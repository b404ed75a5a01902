-- oldest-binary: 0.2.0
--
-- Audited rendering: of the delivered pictures a share is rendered again by another worker of the same
-- numeric class, as a copy of the task, and compared by digest.

CREATE TABLE picture_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state text NOT NULL DEFAULT 'drawn' CONSTRAINT picture_audit_state_known CHECK (
        state IN ('drawn', 'rendering', 'disputed', 'equal', 'different', 'undecided', 'no_worker',
            'moot')
    ),
    -- The picture, as it was delivered; its job may be gone by now.
    image_id uuid NOT NULL CONSTRAINT picture_audited_once UNIQUE,
    job_id uuid NOT NULL,
    task_id uuid NOT NULL,
    index integer NOT NULL CHECK (index >= 0),
    owner text NOT NULL CHECK (owner <> ''),
    numeric_class text NOT NULL,
    digest text NOT NULL,
    attempt_id uuid NOT NULL,
    worker_id uuid NOT NULL,
    worker_name text NOT NULL,
    -- Whether other workers had begun its task before.
    is_shared boolean NOT NULL DEFAULT false,
    drawn_at timestamptz NOT NULL DEFAULT now(),
    disputed_at timestamptz,
    decided_at timestamptz,
    -- The worker that two others contradict, and those of which one is wrong, by name.
    liar_id uuid,
    liar text,
    suspects text[] NOT NULL DEFAULT '{}',
    CONSTRAINT picture_audit_decided_when_final CHECK (
        (decided_at IS NOT NULL) = (state NOT IN ('drawn', 'rendering', 'disputed'))
    ),
    CONSTRAINT picture_audit_liar_contradicted CHECK (
        (liar IS NULL) = (liar_id IS NULL) AND (liar IS NULL OR state = 'different')
    )
);
-- The duty looks every few seconds at those that are not decided.
CREATE INDEX picture_audit_open ON picture_audit (state, id) WHERE decided_at IS NULL;
-- An erasure takes an owner's.
CREATE INDEX picture_audit_of_owner ON picture_audit (owner);

-- The jobs that render audited pictures again, two an audit at most. They are the farm's own, and gone
-- when the audit is decided; what they made is remembered here.
CREATE TABLE picture_copy (
    job_id uuid PRIMARY KEY,
    audit_id bigint NOT NULL REFERENCES picture_audit (id) ON DELETE CASCADE,
    number integer NOT NULL CHECK (number IN (1, 2)),
    made_at timestamptz NOT NULL DEFAULT now(),
    digest text,
    worker_id uuid,
    worker_name text,
    is_shared boolean NOT NULL DEFAULT false,
    -- When its job was deleted.
    dropped_at timestamptz,
    CONSTRAINT picture_copy_once UNIQUE (audit_id, number),
    CONSTRAINT picture_copy_made_by_worker CHECK (
        (digest IS NULL) = (worker_id IS NULL) AND (digest IS NULL) = (worker_name IS NULL)
    )
);
-- The duty takes away the jobs of those whose audit is decided.
CREATE INDEX picture_copy_kept ON picture_copy (audit_id) WHERE dropped_at IS NULL;

-- Who computed it: what a worker that lies computed is not used again, nor by those that audit it.
ALTER TABLE artifact ADD COLUMN worker_name text;

-- Why the picture may be wrong, in words: other workers of its class made other bytes.
ALTER TABLE output ADD COLUMN doubt text;
