package import FarmModel
import Postgres

extension FarmStore {
    /// Tells whether any row names the blob.
    package func isReferenced(_ digest: BlobDigest) async throws -> Bool {
        try await unreferenced(among: [digest]).isEmpty
    }

    /// Returns those of the digests that no job, output, artifact, checkpoint, draft or model file names:
    /// what a sweep may remove when it is older than the grace.
    ///
    /// An output or a draft counts for as long after its job's end as outputs are kept, nil for ever. A blob
    /// is stored before the row that names it, so a sweep looks only at blobs that are older than
    /// any upload takes. To be asked in batches of some thousands.
    package func unreferenced(
        among digests: [BlobDigest],
        keepingOutputs outputs: Duration? = nil
    ) async throws -> Set<BlobDigest> {
        let rows = try await pool.query(
            """
            SELECT asked.digest FROM unnest(\(digests.map(\.rawValue))::text[]) AS asked (digest)
            WHERE NOT EXISTS (SELECT FROM job_blob WHERE job_blob.digest = asked.digest)
                AND NOT EXISTS (
                    SELECT FROM output LEFT JOIN job ON job.id = output.job_id
                        LEFT JOIN retention ON retention.owner = job.owner
                    WHERE output.digest = asked.digest
                        AND \(raw: Self.keepsOutputs(outputs))
                )
                AND NOT EXISTS (SELECT FROM artifact WHERE artifact.digest = asked.digest)
                AND NOT EXISTS (SELECT FROM checkpoint WHERE checkpoint.digest = asked.digest)
                AND NOT EXISTS (
                    SELECT FROM draft LEFT JOIN job ON job.id = draft.job_id
                        LEFT JOIN retention ON retention.owner = job.owner
                    WHERE draft.digest = asked.digest AND \(raw: Self.keepsOutputs(outputs))
                )
                AND NOT EXISTS (SELECT FROM model_file WHERE model_file.digest = asked.digest)
            """
        )
        return try Self.digests(in: rows)
    }

    /// The digests that rows have in their column `digest`.
    static func digests(in rows: [Row]) throws -> Set<BlobDigest> {
        Set(try rows.compactMap { BlobDigest(rawValue: try $0.decode("digest", as: String.self)) })
    }
}
