package import FarmModel
package import FoundationEssentials
import Postgres

extension FarmStore {
    /// What each owner's jobs used of the farm in some time, as far as the history goes back.
    ///
    /// Reads every attempt and picture of that time.
    ///
    /// - Parameters:
    ///   - start: From when on; nil for the beginning.
    ///   - end: Until when, itself left out; nil for now.
    ///   - owner: Whose; nil for everybody's.
    /// - Returns: The owners that used something, by name.
    /// - Throws: `DatabaseError`.
    package func usage(
        from start: Date?,
        until end: Date?,
        of owner: String? = nil
    ) async throws -> [UsageView] {
        try await withRetriedTransaction(isLong: true) { connection in
            try await connection.query(
                """
                WITH tried AS (
                    SELECT job.owner, count(*) AS attempts,
                        coalesce(sum(busy_seconds) FILTER (WHERE outcome = 'succeeded'), 0) AS useful,
                        coalesce(sum(busy_seconds) FILTER (WHERE outcome <> 'succeeded'), 0) AS lost,
                        coalesce(sum(steps_computed), 0)::bigint AS steps
                    FROM attempt JOIN job ON job.id = attempt.job_id
                    WHERE (\(start)::timestamptz IS NULL OR attempt.finished_at >= \(start))
                        AND (\(end)::timestamptz IS NULL OR attempt.finished_at < \(end))
                        AND (\(owner)::text IS NULL OR job.owner = \(owner))
                    GROUP BY job.owner
                ), made AS (
                    SELECT job.owner, count(*) AS images, sum(output.size)::bigint AS bytes
                    FROM output JOIN job ON job.id = output.job_id
                    WHERE (\(start)::timestamptz IS NULL OR output.delivered_at >= \(start))
                        AND (\(end)::timestamptz IS NULL OR output.delivered_at < \(end))
                        AND (\(owner)::text IS NULL OR job.owner = \(owner))
                    GROUP BY job.owner
                )
                SELECT owner, coalesce(images, 0) AS images, coalesce(bytes, 0) AS bytes,
                    coalesce(attempts, 0) AS attempts, coalesce(useful, 0) AS useful,
                    coalesce(lost, 0) AS lost, coalesce(steps, 0) AS steps
                FROM tried FULL JOIN made USING (owner) ORDER BY owner
                """
            ).map { row in
                UsageView(
                    owner: try row.decode("owner"),
                    images: try row.decode("images"),
                    imageBytes: try row.decode("bytes"),
                    attempts: try row.decode("attempts"),
                    usefulSeconds: try row.decode("useful"),
                    lostSeconds: try row.decode("lost"),
                    steps: try row.decode("steps")
                )
            }
        }
    }
}
