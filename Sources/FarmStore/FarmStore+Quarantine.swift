package import FarmModel
import Postgres

extension FarmStore {
    /// How many failures in a row, over how many jobs or owners, make a worker suspect.
    private static let suspectFailures = 3
    private static let suspectJobs = 2

    /// Quarantines the workers that failed in several jobs with no success between, and returns
    /// them.
    ///
    /// A deterministic failure would fail everywhere and says nothing about the worker, nor does a
    /// want of memory or disk; both are not counted.
    package func quarantineFailingWorkers() async throws -> [WorkerID] {
        let rows = try await pool.query(
            """
            SELECT worker.id, recent.failures, recent.jobs, recent.message
            FROM worker CROSS JOIN LATERAL (
                SELECT count(*) AS failures, count(DISTINCT job_id) AS jobs,
                    (array_agg(message ORDER BY id DESC))[1] AS message
                FROM (
                    SELECT id, job_id, message FROM failure
                    WHERE failure.worker_name = worker.name
                        AND failure_class NOT IN ('deterministic', 'resource')
                    ORDER BY failure.id DESC LIMIT worker.failures_in_a_row
                ) AS last
            ) AS recent
            WHERE worker.failures_in_a_row >= \(Self.suspectFailures)
                AND worker.desired_state <> 'quarantine' AND worker.state <> 'lost'
                AND recent.failures >= \(Self.suspectFailures)
                AND recent.jobs >= \(Self.suspectJobs)
            ORDER BY worker.id
            """
        )
        var quarantined: [WorkerID] = []
        for row in rows {
            let id = try row.decode("id", as: WorkerID.self)
            let (failures, jobs) = (
                try row.decode("failures", as: Int.self), try row.decode("jobs", as: Int.self)
            )
            let reason = """
                \(failures) failures in a row in \(jobs) jobs, with no success between; the last: \
                \(try row.decode("message", as: String.self))
                """
            if try await setWorker(id, .quarantine, reason: reason, by: "farm") != nil {
                quarantined.append(id)
            }
        }
        return quarantined
    }
}
