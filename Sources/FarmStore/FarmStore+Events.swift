package import FarmModel
package import FoundationEssentials
import Postgres

/// Something that happened to a job.
package struct EventRecord: Sendable, Hashable {
    /// Counts the job's events from 1, in the order of their commits.
    package let number: Int64
    /// As `image.delivered`.
    package let kind: String
    package let at: Date
    /// What there is to know of it, as JSON.
    package let data: String

    init(_ row: Row) throws {
        number = try row.decode("number")
        kind = try row.decode("kind")
        at = try row.decode("at")
        data = try row.decode("data")
    }
}

extension FarmStore {
    /// Returns a job's events after a number, in the order of their commits and without a gap.
    ///
    /// A number is given under the job's lock, which its transaction holds until it is over: when
    /// one is to be seen, all lower ones are. A reader that goes on from the last number it saw
    /// misses nothing.
    package func events(
        of job: JobID,
        after number: Int64 = 0,
        limit: Int
    ) async throws -> [EventRecord] {
        try await pool.query(
            """
            SELECT number, kind, at, data::text AS data FROM event
            WHERE job_id = \(job) AND number > \(number)::bigint ORDER BY number LIMIT \(limit)
            """
        ).map(EventRecord.init)
    }

    /// Returns the number of a job's latest event, 0 before the first; nil when there is no such
    /// job.
    package func latestEvent(of job: JobID) async throws -> Int64? {
        try await pool.query("SELECT event_count FROM job WHERE id = \(job)")
            .first?.decode("event_count")
    }
}
