-- oldest-binary: 0.2.0
--
-- Who may know of a blob: owners that have sent all of its bytes. Blobs are stored once for all owners;
-- to one that has not shown that it has the bytes, another's blob is not there.

CREATE TABLE blob_holder (
    digest text NOT NULL,
    owner text NOT NULL CHECK (owner <> ''),
    -- When it last sent the bytes, or named the blob.
    shown_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (digest, owner)
);

INSERT INTO blob_holder (digest, owner)
SELECT DISTINCT job_blob.digest, job.owner FROM job_blob JOIN job ON job.id = job_blob.job_id;
