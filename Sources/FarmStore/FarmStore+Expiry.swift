import FarmModel
import Postgres

extension FarmStore {
    /// How many leases one transaction of the duty ends.
    private static let expiryBatch = 100

    /// The least time without a step, or over its prediction, from which on an attempt is hung.
    private static let leastHang: Duration = .seconds(120)

    /// The same for a worker whose speed is not known, so that nothing can be predicted.
    private static let unpredictedHang: Duration = .seconds(3600)

    /// Ends the leases that ran out and the attempts that hang, and finds the workers that fell
    /// silent: the expiry duty, to be run every few seconds.
    ///
    /// When nobody ran it for longer than the gap of the configuration, the farm itself was away:
    /// then every lease is first extended by one lease and nothing ends in this run, so that an
    /// outage does not render everything again. What a silent worker holds lapses by its deadline
    /// alone. A clock of the database that was set forward looks like such a gap; one that was set back is
    /// followed.
    package func runExpiry() async throws -> ExpiryReport {
        var report = ExpiryReport()
        if let extended = try await beginRun() {
            report.extendedAfterGap = extended
            return report
        }
        while let ended = try await endLapsed() {
            report.lapsed += ended.leases
            counts.note(expirations: ended.leases)
            report.poisoned += ended.failed
        }
        while let ended = try await endHung() {
            report.hung += ended.leases
            report.poisoned += ended.failed
        }
        let lost = try await pool.query(
            """
            UPDATE worker SET state = 'lost' WHERE state <> 'lost' AND last_seen_at <
                now() - make_interval(secs => \(configuration.workerTimeout.inSeconds))
            RETURNING id, name, pool
            """
        )
        report.lostWorkers = lost.count
        log(
            lost: try lost.map {
                (try $0.decode("id"), try $0.decode("name"), try $0.decode("pool"))
            }
        )
        return report
    }

    /// Notes that the duty runs now; where nobody had run it for too long, extends every lease and
    /// returns how many there were; where the clock was set back, follows it.
    ///
    /// One transaction: a gap that is noted without its extension would be forgotten, and the next
    /// run would end all that is overdue.
    private func beginRun() async throws -> Int? {
        try await withRetriedTransaction { connection in
            let away = try await connection.query(
                """
                SELECT extract(epoch FROM now() - last_run_at)::double precision AS away
                FROM duty WHERE name = 'expiry'
                """
            ).first?.decode("away", as: Double.self)
            var extended: Int?
            if let away, away > configuration.dutyGap.inSeconds {
                extended = try await extendAllLeases(after: away, on: connection)
            } else if let away, away < 0 {
                try await followClockBack(on: connection)
            }
            try await connection.execute(
                """
                INSERT INTO duty (name, last_run_at) VALUES ('expiry', now())
                ON CONFLICT (name) DO UPDATE SET last_run_at = now()
                """
            )
            return extended
        }
    }

    /// Gives every lease another one, its attempt the time that nobody looked, and every worker
    /// another silence.
    private func extendAllLeases(
        after gap: Double,
        on connection: PostgresConnection
    ) async throws -> Int {
        try await connection.execute("SELECT FROM lease ORDER BY task_id FOR NO KEY UPDATE")
        let extended = try await connection.execute(
            """
            UPDATE lease SET deadline = greatest(deadline, now())
                    + make_interval(secs => \(configuration.lease.inSeconds)),
                begun_at = CASE WHEN begun_at IS NOT NULL
                    THEN least(now(), begun_at + make_interval(secs => \(gap))) END,
                stepped_at = CASE WHEN stepped_at IS NOT NULL
                    THEN least(now(), stepped_at + make_interval(secs => \(gap))) END
            """
        )
        try await connection.execute(
            "UPDATE worker SET last_seen_at = now() WHERE state <> 'lost'"
        )
        return extended
    }

    /// Lets nothing wait longer than it would from now on, where the database's clock was set back:
    /// the lease of a worker that died, and a task that rests, would else wait for the clock to
    /// come to where it was.
    private func followClockBack(on connection: PostgresConnection) async throws {
        try await connection.execute("SELECT FROM lease ORDER BY task_id FOR NO KEY UPDATE")
        try await connection.execute(
            """
            UPDATE lease SET begun_at = least(begun_at, now()), stepped_at = least(stepped_at, now()),
                deadline = least(deadline,
                    now() + make_interval(secs => \(configuration.lease.inSeconds)))
            """
        )
        try await connection.execute(
            """
            UPDATE resting SET until = least(until,
                now() + make_interval(secs => \(configuration.maxBackoff.inSeconds)))
            """
        )
        try await connection.execute(
            "UPDATE worker SET last_seen_at = now() WHERE last_seen_at > now()"
        )
    }

    /// Ends some leases that ran out; nil when none is left.
    private func endLapsed() async throws -> (leases: Int, failed: Int)? {
        let overdue = try await pool.query(
            """
            SELECT task_id FROM lease WHERE deadline < now()
            ORDER BY deadline LIMIT \(Self.expiryBatch)
            """
        ).map { try $0.decode("task_id", as: TaskID.self) }
        guard !overdue.isEmpty else { return nil }
        return try await withRetriedTransaction { connection in
            let held = try await lockLeases(of: overdue, on: connection)
            return try await end(
                try await endings(of: held, byDeath: .lapsed, on: connection),
                on: connection
            )
        }
    }

    /// Ends some attempts that hang; nil when none is left.
    private func endHung() async throws -> (leases: Int, failed: Int)? {
        let suspects = try await hung(among: nil, on: nil)
        guard !suspects.isEmpty else { return nil }
        return try await withRetriedTransaction { connection in
            let held = try await lockLeases(of: Array(suspects.keys), on: connection)
            let hung = try await hung(among: Array(suspects.keys), on: connection)
            let ends = held.compactMap { lease -> (EndingLease, AttemptEnd)? in
                guard let hung = hung[lease.task] else { return nil }
                let failure = AttemptFailure(
                    failureClass: .workersFault,
                    message: hung.message,
                    image: hung.image
                )
                return (lease, .failed(failure))
            }
            return try await end(ends, on: connection)
        }
    }

    /// The attempts that made no step, or took, for longer than they may, each with what to say of
    /// it and the image that it was at.
    private func hung(
        among tasks: [TaskID]?,
        on connection: PostgresConnection?
    ) async throws -> [TaskID: (message: String, image: Int?)] {
        let query: Query = """
            SELECT task_id, image_index, CASE WHEN without_step > step_limit
                THEN format('hung: no step for %s s, and %s s are the limit',
                    round(extract(epoch FROM without_step)),
                    round(extract(epoch FROM step_limit)))
                ELSE format('hung: it runs for %s s, and %s s are the limit',
                    round(extract(epoch FROM age)), round(extract(epoch FROM time_limit))) END
                AS message
            FROM (
                SELECT lease.task_id, lease.image_index, now() - lease.begun_at AS age,
                    now() - coalesce(lease.stepped_at, lease.begun_at) AS without_step,
                    coalesce(lease.step_limit, CASE WHEN worker.speed > 0 AND lease.cost > 0
                        THEN greatest(make_interval(secs => \(Self.leastHang.inSeconds)),
                            make_interval(secs => least(1e8, 5 * task.cost / task.image_count
                                / greatest(lease.steps, 1) / worker.speed)))
                        ELSE make_interval(secs => \(Self.unpredictedHang.inSeconds)) END)
                        AS step_limit,
                    coalesce(lease.time_limit, CASE WHEN worker.speed > 0 AND lease.cost > 0
                        THEN greatest(make_interval(secs => \(Self.leastHang.inSeconds)),
                            make_interval(secs => least(1e8, 4 * lease.cost / worker.speed)))
                        END) AS time_limit
                FROM lease JOIN task ON task.id = lease.task_id
                JOIN worker ON worker.id = lease.worker_id
                WHERE lease.begun_at IS NOT NULL
                    AND (\(tasks)::uuid[] IS NULL OR lease.task_id = ANY(\(tasks)::uuid[]))
            ) AS run
            WHERE without_step > step_limit OR age > time_limit
            ORDER BY task_id LIMIT \(Self.expiryBatch)
            """
        let rows: [Row]
        if let connection {
            rows = try await connection.query(query)
        } else {
            rows = try await pool.query(query)
        }
        return Dictionary(
            uniqueKeysWithValues: try rows.map {
                (
                    try $0.decode("task_id", as: TaskID.self),
                    (
                        message: try $0.decode("message", as: String.self),
                        image: try $0.decodeIfPresent("image_index", as: Int.self)
                    )
                )
            }
        )
    }

    /// Ends attempts and counts them, and those with which something is given up.
    private func end(
        _ ends: [(EndingLease, AttemptEnd)],
        on connection: PostgresConnection
    ) async throws -> (leases: Int, failed: Int)? {
        // All that was overdue was heard of meanwhile, or is being ended elsewhere.
        guard !ends.isEmpty else { return nil }
        let verdicts = try await conclude(ends, on: connection)
        return (verdicts.count, verdicts.count { $0.givenUp(of: 1) > 0 })
    }
}
