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

/// Whose artifacts an attempt finds, and under whose name it keeps its own.
package struct ArtifactScope: Sendable, Hashable {
    /// The owner of its task; a copy by which a picture is audited has a scope of its own.
    package let owner: String
    /// The worker's name.
    package let worker: String
    /// The attempt's lease.
    package let fence: AttemptFence
    /// The copy, and the owner of what it copies.
    fileprivate let copied: Copied?

    fileprivate struct Copied: Sendable, Hashable {
        let copy: JobID
        let owner: String
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

    /// Returns the artifact that an attempt finds.
    ///
    /// A copy finds those of the owner, too, that no worker has computed which had a part in the picture:
    /// what is wrong with theirs is to be found.
    package func artifact(
        in scope: ArtifactScope,
        key: ArtifactKey
    ) async throws -> ArtifactRecord? {
        if let own = try await artifact(owner: scope.owner, key: key) { return own }
        guard let copied = scope.copied else { return nil }
        return try await pool.query(
            """
            SELECT digest, size FROM artifact
            WHERE owner = \(copied.owner) AND key = \(key) AND worker_name NOT IN (
                SELECT worker_block.worker_name FROM worker_block
                WHERE worker_block.job_id = \(copied.copy)
            )
            """
        ).first.map { ArtifactRecord(digest: try $0.decode("digest"), size: try $0.decode("size")) }
    }

    /// Keeps an artifact whose bytes are stored, while the attempt that computed it holds its lease; the
    /// first of one key stands, and is returned.
    ///
    /// - Parameters:
    ///   - artifact: The bytes.
    ///   - key: What determines them.
    ///   - scope: Whose they are, and who computed them under which lease.
    /// - Returns: What is kept under the key; nil where the lease is over.
    /// - Throws: `DatabaseError`.
    package func putArtifact(
        _ artifact: ArtifactRecord,
        key: ArtifactKey,
        in scope: ArtifactScope
    ) async throws -> ArtifactRecord? {
        let fence = scope.fence
        return try await pool.query(
            """
            WITH held AS MATERIALIZED (
                SELECT FROM lease WHERE task_id = \(fence.task)
                    AND attempt_id = \(fence.attempt) AND epoch = \(fence.epoch) FOR KEY SHARE
            )
            INSERT INTO artifact (owner, key, digest, size, worker_name)
            SELECT \(scope.owner), \(key), \(artifact.digest), \(artifact.size), \(scope.worker)
            FROM held
            ON CONFLICT (owner, key) DO UPDATE SET used_at = now()
            RETURNING digest, size
            """
        ).first.map { ArtifactRecord(digest: try $0.decode("digest"), size: try $0.decode("size")) }
    }

    /// Returns whose artifacts an attempt uses while its lease is current; nil when it is not.
    package func artifactScope(of fence: AttemptFence) async throws -> ArtifactScope? {
        try await pool.query(
            """
            SELECT lease.owner, lease.job_id, worker.name, picture_audit.owner AS copied_owner
            FROM lease JOIN worker ON worker.id = lease.worker_id
            LEFT JOIN picture_copy ON picture_copy.job_id = lease.job_id
            LEFT JOIN picture_audit ON picture_audit.id = picture_copy.audit_id
            WHERE lease.task_id = \(fence.task) AND lease.attempt_id = \(fence.attempt)
                AND lease.epoch = \(fence.epoch)
            """
        ).first.map { row in
            let job = try row.decode("job_id", as: JobID.self)
            let copiedOwner = try row.decodeIfPresent("copied_owner", as: String.self)
            return ArtifactScope(
                owner: copiedOwner == nil
                    ? try row.decode("owner") : FarmOwner.artifacts(ofCopy: job),
                worker: try row.decode("name"),
                fence: fence,
                copied: copiedOwner.map { ArtifactScope.Copied(copy: job, owner: $0) }
            )
        }
    }
}
