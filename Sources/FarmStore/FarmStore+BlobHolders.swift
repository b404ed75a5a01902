package import FarmModel
import Postgres

extension FarmStore {
    /// Notes that an owner has shown that it has a blob's bytes, unless its quota has no room for them;
    /// false then.
    ///
    /// Where there is a quota its row is locked, so that uploads that end together do not pass it.
    @discardableResult
    package func addHolder(
        _ owner: String,
        of digest: BlobDigest,
        size: Int64
    ) async throws -> Bool {
        let noted = try await pool.execute(
            """
            WITH known AS MATERIALIZED (
                SELECT digest FROM blob_holder
                WHERE digest = \(digest.rawValue) AND owner = \(owner)
            ), room AS (
                UPDATE account SET blob_bytes = blob_bytes + \(size)
                WHERE owner = \(owner) AND max_blob_bytes >= blob_bytes + \(size)
                    AND NOT EXISTS (SELECT FROM known)
                RETURNING owner
            )
            INSERT INTO blob_holder (digest, owner, size)
            SELECT \(digest.rawValue), \(owner), \(size)
            WHERE EXISTS (SELECT FROM known) OR EXISTS (SELECT FROM room) OR NOT EXISTS (
                SELECT FROM account WHERE owner = \(owner) AND max_blob_bytes IS NOT NULL
            )
            ON CONFLICT (digest, owner) DO UPDATE
                SET shown_at = excluded.shown_at, size = excluded.size
            """
        )
        return noted > 0
    }

    /// The quota of bytes that keeps an owner from sending a blob; nil where it may, or has sent it
    /// before.
    ///
    /// - Parameters:
    ///   - digest: The blob.
    ///   - size: How large it is; nil where that is not known yet.
    ///   - owner: Who sends it.
    /// - Returns: What is used, and what may be.
    /// - Throws: `DatabaseError`.
    package func shortage(
        for digest: BlobDigest,
        size: Int64?,
        of owner: String
    ) async throws -> QuotaShortage? {
        let row = try await pool.query(
            """
            SELECT blob_bytes, max_blob_bytes FROM account
            WHERE owner = \(owner) AND max_blob_bytes < blob_bytes + \(max(1, size ?? 1))
                AND NOT EXISTS (
                    SELECT FROM blob_holder
                    WHERE digest = \(digest.rawValue) AND blob_holder.owner = \(owner)
                )
            """
        ).first
        return try row.map {
            QuotaShortage(
                owner: owner,
                kind: .blobBytes,
                used: Double(try $0.decode("blob_bytes", as: Int64.self)),
                most: Double(try $0.decode("max_blob_bytes", as: Int64.self))
            )
        }
    }

    /// Measures what owners hold that have a quota of bytes: the blobs that they have sent, and their
    /// pictures that are kept.
    ///
    /// What is sent meanwhile counts, too: it is what was added since the moment that was measured.
    ///
    /// - Parameters:
    ///   - owner: Whose; nil for all that were not measured for a while.
    ///   - outputs: How long pictures are kept after their job's end, nil for ever.
    /// - Throws: `DatabaseError`.
    package func measureBlobs(
        of owner: String? = nil,
        keepingOutputs outputs: Duration?
    ) async throws {
        try await pool.execute(
            """
            WITH due AS MATERIALIZED (
                SELECT owner, blob_bytes FROM account
                WHERE max_blob_bytes IS NOT NULL AND CASE WHEN \(owner)::text IS NULL
                    THEN coalesce(blobs_measured_at < now() - interval '30 s', true)
                    ELSE owner = \(owner) END
            ), found AS MATERIALIZED (
                SELECT owner, size FROM blob_holder WHERE owner IN (SELECT owner FROM due)
                UNION ALL
                SELECT job.owner, output.size FROM output JOIN job ON job.id = output.job_id
                    LEFT JOIN retention ON retention.owner = job.owner
                WHERE job.owner IN (SELECT owner FROM due)
                    AND \(raw: Self.keepsOutputs(outputs))
            ), measured AS MATERIALIZED (
                SELECT due.owner, due.blob_bytes AS before,
                    coalesce(sum(found.size), 0)::bigint AS bytes
                FROM due LEFT JOIN found ON found.owner = due.owner GROUP BY 1, 2
            )
            UPDATE account SET blobs_measured_at = now(),
                blob_bytes = greatest(0, measured.bytes + account.blob_bytes - measured.before)
            FROM measured WHERE account.owner = measured.owner
            """
        )
    }

    /// Returns some blobs that owners with a quota of bytes hold and whose size is not known.
    package func unsizedBlobs(limit: Int) async throws -> [BlobDigest] {
        let rows = try await pool.query(
            """
            SELECT DISTINCT blob_holder.digest FROM blob_holder
            JOIN account ON account.owner = blob_holder.owner AND max_blob_bytes IS NOT NULL
            WHERE blob_holder.size IS NULL LIMIT \(limit)
            """
        )
        return try Self.digests(in: rows).sorted { $0.rawValue < $1.rawValue }
    }

    /// Notes how large a blob is that was sent before sizes were.
    package func noteSize(of digest: BlobDigest, _ size: Int64) async throws {
        try await pool.execute(
            """
            UPDATE blob_holder SET size = \(size)
            WHERE digest = \(digest.rawValue) AND size IS NULL
            """
        )
    }

    /// Returns those of the digests whose bytes an owner has shown that it has.
    package func held(
        by owner: String,
        among digests: [BlobDigest]
    ) async throws -> Set<BlobDigest> {
        guard !digests.isEmpty else { return [] }
        let rows = try await pool.query(
            """
            SELECT digest FROM blob_holder
            WHERE owner = \(owner) AND digest = ANY(\(digests.map(\.rawValue))::text[])
            """
        )
        return try Self.digests(in: rows)
    }

    /// Whether an owner may read a blob: it has sent it, or the blob is a file or a picture of its jobs.
    package func mayRead(_ digest: BlobDigest, owner: String) async throws -> Bool {
        try await pool.query(
            """
            SELECT FROM blob_holder WHERE digest = \(digest.rawValue) AND owner = \(owner)
            UNION ALL
            SELECT FROM job_blob JOIN job ON job.id = job_blob.job_id
            WHERE job_blob.digest = \(digest.rawValue) AND job.owner = \(owner)
            UNION ALL
            SELECT FROM output JOIN job ON job.id = output.job_id
            WHERE output.digest = \(digest.rawValue) AND job.owner = \(owner)
            LIMIT 1
            """
        ).first != nil
    }

    /// Forgets who had a blob that was removed; who sends it meanwhile is kept.
    ///
    /// - Parameters:
    ///   - digest: The blob.
    ///   - age: Those are forgotten that showed it longer ago.
    /// - Throws: What the database throws.
    package func removeHolders(of digest: BlobDigest, olderThan age: Duration) async throws {
        try await pool.execute(
            """
            DELETE FROM blob_holder
            WHERE digest = \(digest.rawValue)
                AND shown_at < now() - make_interval(secs => \(age.inSeconds))
            """
        )
    }
}
