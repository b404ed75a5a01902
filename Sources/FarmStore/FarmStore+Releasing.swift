import FarmModel
import Postgres

extension FarmStore {
    /// Whether a worker holds a lease only ahead of another one, and has not begun it, as SQL.
    static let isAhead = """
        (lease.begun_at IS NULL AND EXISTS (
            SELECT FROM lease AS first WHERE first.worker_id = lease.worker_id
                AND (first.claimed_at, first.attempt_id) < (lease.claimed_at, lease.attempt_id)
        ))
        """

    /// Gives back what workers that are to have a seat hold ahead: what they are at delays their
    /// group, and nothing else does.
    func releaseAhead(of workers: [WorkerID], on connection: PostgresConnection) async throws {
        func ahead() async throws -> [TaskID] {
            try await connection.query(
                """
                SELECT task_id FROM lease
                WHERE worker_id = ANY(\(workers)::uuid[]) AND \(raw: Self.isAhead) ORDER BY task_id
                """
            ).map { try $0.decode("task_id") }
        }
        let tasks = try await ahead()
        guard !tasks.isEmpty else { return }
        let held = try await lockLeases(of: tasks, on: connection)
        // It may have been begun before the lock.
        let still = Set(try await ahead())
        let ends = held.filter { still.contains($0.task) }.map { ($0, AttemptEnd.released) }
        _ = try await conclude(ends, on: connection)
    }

    /// Ends every lease of a worker, and returns how many there were.
    @discardableResult
    func endLeases(
        ofWorker id: WorkerID,
        _ end: AttemptEnd,
        on connection: PostgresConnection
    ) async throws -> Int {
        let tasks = try await connection.query(
            "SELECT task_id FROM lease WHERE worker_id = \(id) ORDER BY task_id"
        ).map { try $0.decode("task_id", as: TaskID.self) }
        guard !tasks.isEmpty else { return 0 }
        // While it waited for the locks, another worker may have got one of them.
        let held = try await lockLeases(of: tasks, on: connection).filter { $0.worker == id }
        let ends =
            end == .released
            ? held.map { ($0, end) } : try await endings(of: held, byDeath: end, on: connection)
        return try await conclude(ends, on: connection).count
    }

    /// How the leases of workers that died, or lost a member of their group, end: by `death`, which
    /// of a lapse is only for what is overdue under the lock.
    ///
    /// What a worker had claimed ahead and not begun is as if given back: it is not what killed
    /// the worker. That was claimed before it, and its lease is there or has lapsed since. The death of
    /// a group's first rank is the loss of a member, as that of another one.
    func endings(
        of held: [EndingLease],
        byDeath death: AttemptEnd,
        on connection: PostgresConnection
    ) async throws -> [(EndingLease, AttemptEnd)] {
        let rows = try await connection.query(
            """
            SELECT lease.task_id, \(raw: Self.isAhead) OR lease.begun_at IS NULL AND (
                EXISTS (SELECT FROM worker
                    JOIN failure ON failure.worker_name = worker.name
                        AND failure.failed_at > lease.claimed_at
                    JOIN attempt ON attempt.id = failure.attempt_id AND attempt.outcome = 'lapsed'
                    WHERE worker.id = lease.worker_id)
            ) AS is_ahead, EXISTS (SELECT FROM worker
                WHERE worker.id = lease.worker_id AND worker.own_class IS NOT NULL) AS is_led
            FROM lease WHERE task_id = ANY(\(held.map(\.task))::uuid[])
                AND (deadline < now() OR \(death != .lapsed))
            """
        )
        let ends = Dictionary(
            uniqueKeysWithValues: try rows.map { row in
                let isAhead = try row.decode("is_ahead", as: Bool.self)
                let isLed = try row.decode("is_led", as: Bool.self)
                return (
                    try row.decode("task_id", as: TaskID.self),
                    isAhead ? AttemptEnd.released : isLed ? death.ofGroup : death
                )
            }
        )
        return held.compactMap { lease in ends[lease.task].map { (lease, $0) } }
    }
}
