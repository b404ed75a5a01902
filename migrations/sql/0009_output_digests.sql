-- oldest-binary: 0.2.0
--
-- Pictures are looked for by their digests: whether an owner may read a blob, and whether a sweep may
-- remove one.

CREATE INDEX output_digest ON output (digest);
