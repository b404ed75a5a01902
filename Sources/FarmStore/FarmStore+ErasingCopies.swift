package import FarmModel
import Postgres

extension FarmStore {
    /// Returns some of the copies of an owner's pictures that are not over.
    package func liveCopies(of owner: String) async throws -> [JobID] {
        try await pool.query(
            """
            SELECT job.id FROM job JOIN picture_copy ON picture_copy.job_id = job.id
            JOIN picture_audit ON picture_audit.id = picture_copy.audit_id
            WHERE picture_audit.owner = \(owner) AND picture_copy.dropped_at IS NULL
                AND job.finished_at IS NULL
            ORDER BY job.id LIMIT \(Self.erasureBatch)
            """
        ).map { try $0.decode("id") }
    }

    /// Deletes some of the copies of an owner's pictures that are over, with every row that belongs to
    /// them; what they named is the owner's as if sent.
    ///
    /// - Parameter owner: Whose pictures.
    /// - Returns: How many copies were deleted.
    /// - Throws: `DatabaseError`.
    package func eraseCopies(of owner: String) async throws -> Int {
        try await withRetriedTransaction(isLong: true) { connection in
            let copies = try await Self.lockOver(
                try await connection.query(
                    """
                    SELECT job.id FROM job JOIN picture_copy ON picture_copy.job_id = job.id
                    JOIN picture_audit ON picture_audit.id = picture_copy.audit_id
                    WHERE picture_audit.owner = \(owner) AND picture_copy.dropped_at IS NULL
                        AND job.finished_at IS NOT NULL
                    ORDER BY job.id LIMIT \(Self.erasureBatch)
                    """
                ),
                on: connection
            )
            guard !copies.isEmpty else { return 0 }
            try await Self.holdBlobs(of: copies, for: owner, on: connection)
            try await Self.deleteCopies(copies, on: connection)
            return copies.count
        }
    }

    /// Deletes the audits of an owner's pictures, whose copies are gone, and returns what those were.
    static func eraseAudits(
        of owner: String,
        on connection: PostgresConnection
    ) async throws -> Set<BlobDigest> {
        let made = try await connection.query(
            """
            SELECT picture_copy.digest FROM picture_copy
            JOIN picture_audit ON picture_audit.id = picture_copy.audit_id
            WHERE picture_audit.owner = \(owner) AND picture_copy.digest IS NOT NULL
            """
        )
        try await connection.execute("DELETE FROM picture_audit WHERE owner = \(owner)")
        return try digests(in: made)
    }
}
