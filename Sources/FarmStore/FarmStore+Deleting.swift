package import FarmModel
import Postgres

/// What the deletion of a job takes away.
package struct DeletionPreview: Sendable, Hashable {
    package let name: String
    package let state: JobState
    package let images: Int
    package let outputs: Int
    /// The bytes of the outputs, those that other jobs share too.
    package let outputBytes: Int64
    package let attempts: Int
    package let events: Int64
    /// Blobs that nothing but this job names among what its owner has; of other owners' nothing is
    /// told.
    package let blobs: Int
    /// The bytes of the outputs among them; sizes of references are not recorded.
    package let blobBytes: Int64
    /// Jobs that wait for this one and are not over.
    package let dependents: [JobID]
}

/// What became of the wish to delete a job.
package enum DeleteOutcome: Sendable, Hashable {
    case deleted(DeletionPreview)
    /// It is not over: it has to be cancelled first.
    case refused(JobState)
    /// There is no such job.
    case notFound
}

extension FarmStore {
    /// Returns what the deletion of a job would take away; nil when there is no such job.
    package func deletionPreview(_ id: JobID) async throws -> DeletionPreview? {
        try await pool.withConnection { try await deletionPreview(id, on: $0) }
    }

    /// Deletes a job that is over, with everything that belongs to it, in one transaction.
    ///
    /// Its blobs go with the next sweep that finds no other name for them.
    package func deleteJob(_ id: JobID, by actor: String) async throws -> DeleteOutcome {
        try await withRetriedTransaction(isLong: true) { connection in
            _ = try await Self.lockHeads(of: id, on: connection)
            guard let state = try await Self.lockJob(id, on: connection),
                let preview = try await deletionPreview(id, on: connection)
            else { return .notFound }
            guard state.isFinal else { return .refused(state) }
            try await Self.deleteRows(of: [id], on: connection)
            try await Self.recordAudit(
                "job.deleted",
                id.description,
                by: actor,
                ["name": preview.name, "images": String(preview.images)],
                on: connection
            )
            log(
                "Job deleted",
                ["job": "\(id)", "by": actor, "images": "\(preview.images)"],
                on: connection
            )
            return .deleted(preview)
        }
    }

    private func deletionPreview(
        _ id: JobID,
        on connection: PostgresConnection
    ) async throws -> DeletionPreview? {
        let row = try await connection.query(
            """
            WITH siblings AS (
                SELECT other.id FROM job JOIN job AS other ON other.owner = job.owner
                WHERE job.id = \(id) AND other.id <> job.id
            ), own AS (
                SELECT output.digest, output.size FROM image
                JOIN output ON output.image_id = image.id WHERE image.job_id = \(id)
            ), named AS (
                SELECT digest, 0::bigint AS size FROM job_blob WHERE job_id = \(id)
                UNION ALL SELECT digest, size FROM own
            ), alone AS (
                SELECT digest, max(size) AS size FROM named
                WHERE NOT EXISTS (SELECT FROM job_blob
                        JOIN siblings ON siblings.id = job_blob.job_id
                        WHERE job_blob.digest = named.digest)
                    AND NOT EXISTS (SELECT FROM output
                        JOIN siblings ON siblings.id = output.job_id
                        WHERE output.digest = named.digest)
                GROUP BY digest
            )
            SELECT job.name, job.state, job.image_count, job.event_count,
                (SELECT count(*) FROM own) AS outputs,
                (SELECT coalesce(sum(size), 0) FROM own) AS output_bytes,
                (SELECT count(*) FROM task JOIN attempt ON attempt.task_id = task.id
                    WHERE task.job_id = job.id) AS attempts,
                (SELECT count(*) FROM alone) AS blobs,
                (SELECT coalesce(sum(size), 0) FROM alone) AS blob_bytes,
                ARRAY(SELECT later.id FROM job AS later
                    WHERE job.id = ANY(later.after_jobs) AND later.finished_at IS NULL
                    ORDER BY later.id) AS dependents
            FROM job WHERE job.id = \(id)
            """
        ).first
        return try row.map {
            DeletionPreview(
                name: try $0.decode("name"),
                state: try $0.decode("state"),
                images: try $0.decode("image_count"),
                outputs: try $0.decode("outputs"),
                outputBytes: try $0.decode("output_bytes"),
                attempts: try $0.decode("attempts"),
                events: try $0.decode("event_count"),
                blobs: try $0.decode("blobs"),
                blobBytes: try $0.decode("blob_bytes"),
                dependents: try $0.decode("dependents")
            )
        }
    }

    /// Locks jobs that are to be deleted, after their heads, as whoever changes a job does; and returns those
    /// that are there and over.
    ///
    /// - Parameters:
    ///   - rows: Rows with a column `id`.
    ///   - connection: A connection with a transaction.
    /// - Returns: Their ids, in order.
    /// - Throws: `DatabaseError`.
    static func lockOver(
        _ rows: [Row],
        on connection: PostgresConnection
    ) async throws -> [JobID] {
        let jobs = try rows.map { try $0.decode("id", as: JobID.self) }
        guard !jobs.isEmpty else { return [] }
        try await connection.execute(
            "SELECT FROM head WHERE job_id = ANY(\(jobs)::uuid[]) ORDER BY id FOR UPDATE"
        )
        return try await connection.query(
            """
            SELECT id FROM job WHERE id = ANY(\(jobs)::uuid[]) AND finished_at IS NOT NULL
            ORDER BY id FOR UPDATE
            """
        ).map { try $0.decode("id") }
    }

    /// Deletes jobs that are over, with every row that belongs to them.
    ///
    /// Who waits for one that succeeded waits for it no more.
    static func deleteRows(of jobs: [JobID], on connection: PostgresConnection) async throws {
        try await connection.execute(
            """
            WITH succeeded AS (
                SELECT array_agg(id) AS ids FROM job
                WHERE id = ANY(\(jobs)::uuid[]) AND state = 'succeeded'
            )
            UPDATE job SET after_jobs = ARRAY(
                SELECT wanted FROM unnest(after_jobs) AS wanted WHERE wanted <> ALL(succeeded.ids)
            )
            FROM succeeded WHERE finished_at IS NULL AND after_jobs && succeeded.ids
            """
        )
        try await connection.execute(
            """
            DELETE FROM output USING image
            WHERE image.job_id = ANY(\(jobs)::uuid[]) AND output.image_id = image.id
            """
        )
        for table in ["attempt", "failure", "checkpoint", "log_line"] {
            try await connection.execute(
                """
                DELETE FROM \(raw: table) USING task
                WHERE task.job_id = ANY(\(jobs)::uuid[]) AND \(raw: table).task_id = task.id
                """
            )
        }
        try await connection.execute(
            """
            DELETE FROM ready USING head
            WHERE head.job_id = ANY(\(jobs)::uuid[]) AND ready.head_id = head.id
            """
        )
        for table in [
            "draft", "image", "task", "event", "webhook", "head", "job_blob", "worker_block",
        ] {
            try await connection.execute(
                "DELETE FROM \(raw: table) WHERE job_id = ANY(\(jobs)::uuid[])"
            )
        }
        try await connection.execute("DELETE FROM job WHERE id = ANY(\(jobs)::uuid[])")
    }
}
