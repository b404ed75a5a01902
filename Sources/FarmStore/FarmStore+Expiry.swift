import FarmModel
import Postgres

extension FarmStore {
    /// How many lapsed leases one transaction of the duty ends.
    private static let lapseBatch = 100

    /// Ends the leases that ran out, and finds the workers that fell silent: the expiry duty.
    ///
    /// To be called every few seconds by every coordinator; an advisory lock lets one of them work
    /// at a time. When nobody ran it for longer than the gap of the configuration, the farm itself
    /// was away: then every lease is first extended by one lease and nothing lapses in this run, so
    /// that an outage does not render everything again.
    package func expireLapsedLeases() async throws -> ExpiryReport {
        var report = ExpiryReport()
        var isFirst = true
        while true {
            let before = report.lapsed
            let (isFirstRun, soFar) = (isFirst, report)
            report = try await pool.withTransaction { connection in
                try await expire(soFar, isFirst: isFirstRun, on: connection)
            }
            isFirst = false
            guard report.lapsed - before == Self.lapseBatch else { return report }
        }
    }

    private func expire(
        _ soFar: ExpiryReport,
        isFirst: Bool,
        on connection: PostgresConnection
    ) async throws -> ExpiryReport {
        var report = soFar
        let isAlone = try await connection.query(
            """
            SELECT pg_try_advisory_xact_lock(
                \(AdvisoryLock.expiry), hashtext(current_schema())) AS is_alone
            """
        ).first?.decode("is_alone", as: Bool.self)
        guard isAlone == true else {
            report.wasHeldElsewhere = isFirst
            return report
        }
        if isFirst, try await noteRun(on: connection) {
            report.extendedAfterGap = try await extendAllLeases(on: connection)
            return report
        }
        let rows = try await connection.query(
            """
            \(raw: HeldTask.select) WHERE state = 'leased' AND lease_deadline < now()
            ORDER BY lease_deadline LIMIT \(Self.lapseBatch) FOR NO KEY UPDATE SKIP LOCKED
            """
        )
        var jobs: Set<JobID> = []
        for row in rows {
            let task = try await HeldTask(row, on: connection)
            let (state, _) = try await conclude(task, .lapsed, on: connection)
            jobs.insert(task.job)
            report.lapsed += 1
            report.poisoned += state == .failed ? 1 : 0
        }
        try await Self.settleJobs(Array(jobs), on: connection)
        report.lostWorkers += try await connection.execute(
            """
            UPDATE worker SET state = 'lost' WHERE state <> 'lost' AND last_seen_at <
                now() - make_interval(secs => \(configuration.workerTimeout.inSeconds))
            """
        )
        return report
    }

    /// Notes that the duty runs now, and tells whether nobody had run it for too long.
    private func noteRun(on connection: PostgresConnection) async throws -> Bool {
        let row = try await connection.query(
            """
            SELECT last_run_at < now() - make_interval(secs => \(configuration.dutyGap.inSeconds))
                AS was_gap
            FROM duty WHERE name = 'expiry'
            """
        ).first
        try await connection.execute(
            """
            INSERT INTO duty (name, last_run_at) VALUES ('expiry', now())
            ON CONFLICT (name) DO UPDATE SET last_run_at = now()
            """
        )
        return try row?.decode("was_gap") ?? false
    }

    /// Gives every lease another one, and every worker another silence.
    private func extendAllLeases(on connection: PostgresConnection) async throws -> Int {
        let extended = try await connection.execute(
            """
            WITH held AS (
                SELECT id FROM task WHERE state = 'leased' ORDER BY id FOR NO KEY UPDATE
            )
            UPDATE task SET lease_deadline = greatest(lease_deadline, now())
                + make_interval(secs => \(configuration.lease.inSeconds))
            FROM held WHERE task.id = held.id
            """
        )
        try await connection.execute(
            "UPDATE worker SET last_seen_at = now() WHERE state <> 'lost'"
        )
        return extended
    }
}
