-- oldest-binary: 0.2.0
--
-- How far a worker's time of day is from the database's, in seconds, as its heartbeats tell.

ALTER TABLE worker ADD COLUMN clock_offset double precision;
