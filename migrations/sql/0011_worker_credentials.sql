-- oldest-binary: 0.2.0
--
-- Credentials of a worker's own: a token that lets workers join, and what each then shows.
--
-- A worker chooses its key and tells the hash of it, so that an answer that is lost loses nothing:
-- the worker asks again with the same hash and is the same worker.

ALTER TABLE token
    -- Lets workers join, and nothing else: one of them, or as many as show it.
    ADD COLUMN joins text CHECK (joins IN ('once', 'pool')),
    -- The pool that they join; NULL is any.
    ADD COLUMN pool text CHECK (pool <> ''),
    -- The hash of the key of the worker that spent it, and when.
    ADD COLUMN spent_by text,
    ADD COLUMN spent_at timestamptz,
    ADD CONSTRAINT token_join_is_workers CHECK (joins IS NULL OR role = 'worker'),
    ADD CONSTRAINT token_pool_is_joined CHECK (
        CASE joins WHEN 'pool' THEN pool IS NOT NULL WHEN 'once' THEN true ELSE pool IS NULL END
    ),
    ADD CONSTRAINT token_spent_once CHECK (
        (spent_by IS NULL) = (spent_at IS NULL)
            AND (spent_by IS NULL OR coalesce(joins = 'once', false))
    );

-- The keys that a worker may show: one, or two from the moment that it tells the next one until it
-- uses that. Locked behind tokens and workers, those of one worker in the order of their hashes.
CREATE TABLE worker_credential (
    hash text PRIMARY KEY CHECK (length(hash) = 64),
    worker_id uuid NOT NULL REFERENCES worker (id) ON DELETE CASCADE,
    -- By which it joined.
    token_id uuid NOT NULL REFERENCES token (id),
    -- The only pool that it may register in.
    pool text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- When it was first shown: with that, those before it are gone.
    used_at timestamptz
);
CREATE INDEX worker_credential_of_worker ON worker_credential (worker_id);
-- Whoever revokes a token finds those that joined by it.
CREATE INDEX worker_credential_by_token ON worker_credential (token_id);
