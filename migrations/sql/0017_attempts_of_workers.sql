-- oldest-binary: 0.2.0
--
-- A worker's attempts are listed, the newest first.
CREATE INDEX attempt_of_worker ON attempt (worker_id, started_at DESC, id DESC);
