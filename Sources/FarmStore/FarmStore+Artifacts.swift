package import FarmModel
import Postgres

/// A computed condition in the blob store.
package struct ArtifactRecord: Sendable, Hashable {
    /// The SHA-256 of its bytes.
    package let digest: String
    package let size: Int64

    package init(digest: String, size: Int64) {
        self.digest = digest
        self.size = size
    }
}

extension FarmStore {
    /// Returns an owner's artifact by what determines it, and notes that it was used; nil when
    /// nobody computed it yet.
    ///
    /// The note is written at most once an hour, so that a job's thousand reads are one write.
    package func artifact(owner: String, key: ArtifactKey) async throws -> ArtifactRecord? {
        try await pool.query(
            """
            WITH touched AS (
                UPDATE artifact SET used_at = now()
                WHERE owner = \(owner) AND key = \(key) AND used_at < now() - interval '1 h'
            )
            SELECT digest, size FROM artifact WHERE owner = \(owner) AND key = \(key)
            """
        ).first.map { ArtifactRecord(digest: try $0.decode("digest"), size: try $0.decode("size")) }
    }

    /// Keeps an artifact whose bytes are stored; the first of one key stands, and is returned.
    package func putArtifact(
        owner: String,
        key: ArtifactKey,
        _ artifact: ArtifactRecord
    ) async throws -> ArtifactRecord {
        let row = try await pool.query(
            """
            INSERT INTO artifact (owner, key, digest, size)
            VALUES (\(owner), \(key), \(artifact.digest), \(artifact.size))
            ON CONFLICT (owner, key) DO UPDATE SET used_at = now()
            RETURNING digest, size
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the artifact that was just kept") }
        return ArtifactRecord(digest: try row.decode("digest"), size: try row.decode("size"))
    }

    /// Returns whose task an attempt works on while its lease is current; nil when it is not.
    package func owner(of fence: AttemptFence) async throws -> String? {
        try await pool.query(
            """
            SELECT owner FROM lease WHERE task_id = \(fence.task)
                AND attempt_id = \(fence.attempt) AND epoch = \(fence.epoch)
            """
        ).first?.decode("owner")
    }
}
