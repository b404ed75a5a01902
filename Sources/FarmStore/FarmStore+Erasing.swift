package import FarmModel
import Postgres

/// What one step of an erasure took away.
package struct ErasedJobs: Sendable, Hashable {
    package var jobs = 0
    package var images = 0
    package var outputs = 0
    package var outputBytes: Int64 = 0
}

extension FarmStore {
    /// How many jobs one step of an erasure deletes.
    static let erasureBatch = 10

    /// Returns what erasing an owner would take away.
    package func erasurePreview(of owner: String) async throws -> ErasureView {
        let row = try await pool.query(
            """
            WITH mine AS (SELECT id, finished_at, image_count FROM job WHERE owner = \(owner)),
            pictures AS (
                SELECT output.digest, output.size FROM output JOIN mine ON mine.id = output.job_id
            ), named AS (
                SELECT digest FROM pictures
                UNION SELECT digest FROM job_blob JOIN mine ON mine.id = job_blob.job_id
                UNION SELECT digest FROM checkpoint JOIN task ON task.id = checkpoint.task_id
                    JOIN mine ON mine.id = task.job_id
                UNION SELECT digest FROM draft JOIN mine ON mine.id = draft.job_id
                    WHERE digest IS NOT NULL
                UNION SELECT digest FROM artifact WHERE owner = \(owner)
                UNION SELECT digest FROM blob_holder WHERE owner = \(owner)
            )
            SELECT (SELECT count(*) FROM mine) AS jobs,
                (SELECT count(*) FROM mine WHERE finished_at IS NULL) AS live_jobs,
                (SELECT coalesce(sum(image_count), 0)::bigint FROM mine) AS images,
                (SELECT count(*) FROM pictures) AS outputs,
                (SELECT coalesce(sum(size), 0)::bigint FROM pictures) AS output_bytes,
                (SELECT count(*) FROM artifact WHERE owner = \(owner)) AS artifacts,
                (SELECT count(*) FROM token WHERE owner = \(owner) AND (revoked_at IS NULL
                    OR NOT EXISTS (SELECT FROM worker_credential
                        WHERE worker_credential.token_id = token.id))) AS tokens,
                (SELECT count(*) FROM named WHERE NOT EXISTS (
                        SELECT FROM blob_holder WHERE blob_holder.digest = named.digest
                            AND blob_holder.owner <> \(owner))
                    AND NOT EXISTS (SELECT FROM job_blob JOIN job ON job.id = job_blob.job_id
                        WHERE job_blob.digest = named.digest AND job.owner <> \(owner))
                    AND NOT EXISTS (SELECT FROM output JOIN job ON job.id = output.job_id
                        WHERE output.digest = named.digest AND job.owner <> \(owner))
                    AND NOT EXISTS (SELECT FROM draft JOIN job ON job.id = draft.job_id
                        WHERE draft.digest = named.digest AND job.owner <> \(owner))
                    AND NOT EXISTS (SELECT FROM artifact WHERE artifact.digest = named.digest
                        AND artifact.owner <> \(owner))
                    AND NOT EXISTS (SELECT FROM model_file
                        WHERE model_file.digest = named.digest)) AS blobs
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the counts of an owner") }
        var view = ErasureView(owner: owner)
        view.jobs = try row.decode("jobs")
        view.liveJobs = try row.decode("live_jobs")
        view.images = try row.decode("images")
        view.outputs = try row.decode("outputs")
        view.outputBytes = try row.decode("output_bytes")
        view.artifacts = try row.decode("artifacts")
        view.tokens = try row.decode("tokens")
        view.blobs = try row.decode("blobs")
        return view
    }

    /// Takes an owner's tokens away and returns how many there were: the first step of an erasure, after
    /// which nothing new comes.
    ///
    /// One by which workers have joined is revoked; they are the farm's.
    ///
    /// - Parameters:
    ///   - owner: Whose.
    ///   - actor: Who erases the owner, for the audit.
    /// - Returns: How many tokens counted until now.
    /// - Throws: `DatabaseError`.
    package func eraseTokens(of owner: String, by actor: String) async throws -> Int {
        try await withRetriedTransaction { connection in
            // Who joins by one at this moment has joined, or does not.
            let tokens = try await connection.query(
                "SELECT id FROM token WHERE owner = \(owner) ORDER BY id FOR UPDATE"
            ).map { try $0.decode("id", as: TokenID.self) }
            try await Self.recordAudit(
                "owner.erasure_begun",
                owner,
                by: actor,
                ["tokens": tokens.map(\.description).joined(separator: " ")],
                on: connection
            )
            let deleted = try await connection.execute(
                """
                DELETE FROM token WHERE owner = \(owner) AND NOT EXISTS (
                    SELECT FROM worker_credential WHERE worker_credential.token_id = token.id)
                """
            )
            return deleted
                + (try await connection.execute(
                    """
                    UPDATE token SET revoked_at = now()
                    WHERE owner = \(owner) AND revoked_at IS NULL
                    """
                ))
        }
    }

    /// Returns some of an owner's jobs that are not over.
    package func liveJobs(of owner: String) async throws -> [JobID] {
        try await pool.query(
            """
            SELECT id FROM job WHERE owner = \(owner) AND finished_at IS NULL
            ORDER BY created_at, id LIMIT \(Self.erasureBatch)
            """
        ).map { try $0.decode("id") }
    }

    /// Whether an owner has submitted a job within the last seconds.
    package func hasSubmitted(_ owner: String, within seconds: Double) async throws -> Bool {
        try await pool.query(
            """
            SELECT FROM job WHERE owner = \(owner)
                AND created_at > now() - make_interval(secs => \(seconds)) LIMIT 1
            """
        ).first != nil
    }

    /// Waits for submissions of an owner that are being written.
    package func awaitSubmissions(of owner: String) async throws {
        try await withRetriedTransaction(isLong: true) { connection in
            // A job's heads hold the row of the account that they refer to.
            _ = try await connection.execute(
                "SELECT FROM account WHERE owner = \(owner) FOR UPDATE"
            )
        }
    }

    /// Notes an owner as one that has what is named by jobs which are about to lose it, so that an erasure
    /// that is cut short knows what is left to remove.
    static func holdBlobs(
        of jobs: [JobID],
        for owner: String,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            INSERT INTO blob_holder (digest, owner)
            SELECT digest, \(owner) FROM (
                SELECT digest FROM output WHERE job_id = ANY(\(jobs)::uuid[])
                UNION SELECT digest FROM job_blob WHERE job_id = ANY(\(jobs)::uuid[])
                UNION SELECT digest FROM checkpoint JOIN task ON task.id = checkpoint.task_id
                    WHERE task.job_id = ANY(\(jobs)::uuid[])
                UNION SELECT digest FROM draft
                    WHERE job_id = ANY(\(jobs)::uuid[]) AND digest IS NOT NULL
                UNION SELECT digest FROM artifact
                    WHERE owner = ANY(\(jobs.map { FarmOwner.artifacts(ofCopy: $0) })::text[])
            ) AS named ORDER BY digest
            ON CONFLICT (digest, owner) DO NOTHING
            """
        )
    }

    /// Notes an owner as one that has what its jobs name, before they are cancelled.
    package func holdBlobs(of jobs: [JobID], for owner: String) async throws {
        try await withRetriedTransaction {
            try await Self.holdBlobs(of: jobs, for: owner, on: $0)
        }
    }

    /// Deletes some of an owner's jobs that are over, with every row that belongs to them; what they named
    /// is the owner's as if sent.
    ///
    /// - Parameter owner: Whose.
    /// - Returns: What was deleted; no jobs where none is left that is over.
    /// - Throws: `DatabaseError`.
    package func eraseJobs(of owner: String) async throws -> ErasedJobs {
        try await withRetriedTransaction(isLong: true) { connection in
            let jobs = try await Self.lockOver(
                try await connection.query(
                    """
                    SELECT id FROM job WHERE owner = \(owner) AND finished_at IS NOT NULL
                    ORDER BY id LIMIT \(Self.erasureBatch)
                    """
                ),
                on: connection
            )
            var erased = ErasedJobs()
            guard !jobs.isEmpty else { return erased }
            erased.jobs = jobs.count
            erased.images =
                try await connection.query(
                    "SELECT sum(image_count) AS images FROM job WHERE id = ANY(\(jobs)::uuid[])"
                ).first?.decode("images") ?? 0
            let pictures = try await connection.query(
                "SELECT size FROM output WHERE job_id = ANY(\(jobs)::uuid[])"
            )
            erased.outputs = pictures.count
            erased.outputBytes = try pictures.reduce(0) { $0 + (try $1.decode("size")) }
            try await Self.holdBlobs(of: jobs, for: owner, on: connection)
            try await Self.deleteRows(of: jobs, on: connection)
            return erased
        }
    }

    /// Deletes an owner's computed conditions and the audits of its pictures; what they named is the owner's
    /// as if sent.
    ///
    /// - Parameter owner: Whose.
    /// - Returns: How many computed conditions there were.
    /// - Throws: `DatabaseError`.
    package func eraseArtifacts(of owner: String) async throws -> Int {
        try await withRetriedTransaction { connection in
            let deleted = try await connection.query(
                "DELETE FROM artifact WHERE owner = \(owner) RETURNING digest"
            )
            let copies = try await Self.eraseAudits(of: owner, on: connection)
            let digests = try Self.digests(in: deleted).union(copies).map(\.rawValue).sorted()
            try await connection.execute(
                """
                INSERT INTO blob_holder (digest, owner)
                SELECT digest, \(owner) FROM unnest(\(digests)::text[]) AS named (digest)
                ON CONFLICT (digest, owner) DO NOTHING
                """
            )
            return deleted.count
        }
    }

    /// Returns some of the blobs that an owner has shown to have, in the order of their digests.
    package func heldBlobs(
        of owner: String,
        after last: BlobDigest?,
        limit: Int
    ) async throws -> [BlobDigest] {
        let rows = try await pool.query(
            """
            SELECT digest FROM blob_holder
            WHERE owner = \(owner) AND digest > \(last?.rawValue ?? "")
            ORDER BY digest LIMIT \(limit)
            """
        )
        return try Self.digests(in: rows).sorted { $0.rawValue < $1.rawValue }
    }

    /// Forgets that an owner has some blobs.
    package func dropHolder(_ owner: String, of digests: [BlobDigest]) async throws {
        try await pool.execute(
            """
            DELETE FROM blob_holder
            WHERE owner = \(owner) AND digest = ANY(\(digests.map(\.rawValue))::text[])
            """
        )
    }

    /// Deletes what else is of an owner, and notes that the owner was erased: the last step.
    ///
    /// - Parameters:
    ///   - owner: Who.
    ///   - view: What was taken away before, for the audit trail.
    ///   - actor: Who asked for it.
    /// - Throws: `DatabaseError`.
    package func finishErasure(
        of owner: String,
        _ view: ErasureView,
        by actor: String
    ) async throws {
        try await withRetriedTransaction { connection in
            try await connection.execute(
                """
                DELETE FROM account WHERE owner = \(owner)
                    AND NOT EXISTS (SELECT FROM head WHERE head.owner = \(owner))
                """
            )
            try await connection.execute("DELETE FROM retention WHERE owner = \(owner)")
            try await Self.recordAudit(
                "owner.erased",
                owner,
                by: actor,
                [
                    "jobs": String(view.jobs), "outputs": String(view.outputs),
                    "tokens": String(view.tokens), "blobs": String(view.blobs),
                ],
                on: connection
            )
        }
    }

    /// Returns those of the digests that no row names and nobody but an owner has shown to have.
    package func unclaimed(
        among digests: [BlobDigest],
        but owner: String
    ) async throws -> Set<BlobDigest> {
        let loose = try await unreferenced(among: digests)
        let rows = try await pool.query(
            """
            SELECT digest FROM blob_holder
            WHERE digest = ANY(\(loose.map(\.rawValue))::text[]) AND owner <> \(owner)
            """
        )
        return loose.subtracting(try Self.digests(in: rows))
    }
}
