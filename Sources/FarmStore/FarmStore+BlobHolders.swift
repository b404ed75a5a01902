package import FarmModel
import Postgres

extension FarmStore {
    /// Notes that an owner has shown that it has a blob's bytes.
    package func addHolder(_ owner: String, of digest: BlobDigest) async throws {
        try await pool.execute(
            """
            INSERT INTO blob_holder (digest, owner) VALUES (\(digest.rawValue), \(owner))
            ON CONFLICT (digest, owner) DO UPDATE SET shown_at = excluded.shown_at
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
