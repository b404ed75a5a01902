-- oldest-binary: 0.2.0
--
-- What an attempt has cost stands with its lease, as its last heartbeat said: the history of an
-- attempt whose worker dies counts what it computed.

ALTER TABLE lease
    ADD COLUMN steps_computed bigint NOT NULL DEFAULT 0,
    ADD COLUMN conditions_computed integer NOT NULL DEFAULT 0,
    ADD COLUMN conditions_found integer NOT NULL DEFAULT 0,
    ADD COLUMN busy_seconds double precision NOT NULL DEFAULT 0;
