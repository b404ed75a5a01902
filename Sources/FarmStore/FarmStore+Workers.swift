package import FarmModel
import Postgres

extension FarmStore {
    /// Records a worker, and its model when the farm does not know the digest yet.
    ///
    /// A name that already means another digest gets the digest's first eight characters behind it.
    package func registerWorker(
        _ registration: WorkerRegistration
    ) async throws -> RegisteredWorker {
        try await pool.withTransaction { connection in
            let name = try await recordModel(of: registration, on: connection)
            let row = try await connection.query(
                """
                INSERT INTO worker (name, pool, model_name, model_digest, precision, memory_bytes,
                    engine, tags)
                VALUES (\(registration.name), \(registration.pool), \(name),
                    \(registration.modelDigest), \(registration.precision),
                    \(registration.memory), \(registration.engine), \(registration.tags)::text[])
                RETURNING id, epoch
                """
            ).first
            guard let row else { throw FarmStoreError.vanished("the worker that was just made") }
            return RegisteredWorker(
                id: try row.decode("id"),
                epoch: try row.decode("epoch"),
                modelName: name
            )
        }
    }

    private func recordModel(
        of worker: WorkerRegistration,
        on connection: PostgresConnection
    ) async throws -> String {
        let digest = worker.modelDigest
        for name in [worker.modelName, "\(worker.modelName)-\(digest.prefix(8))"] {
            try await connection.execute(
                """
                INSERT INTO model (name, digest, defaults)
                VALUES (\(name), \(digest), \(worker.modelDefaults)::jsonb)
                ON CONFLICT DO NOTHING
                """
            )
            let rows = try await connection.query(
                "SELECT name FROM model WHERE digest = \(digest)"
            )
            if let row = rows.first { return try row.decode("name") }
        }
        throw FarmStoreError.vanished("the model \(worker.modelName) that was just recorded")
    }

    /// Returns the models that workers have brought, the first recorded, the farm's default, first.
    package func models() async throws -> [ModelRecord] {
        try await pool.query(
            """
            SELECT name, digest, defaults::text AS defaults, recorded_at FROM model
            ORDER BY number
            """
        ).map(ModelRecord.init)
    }

    /// Returns a model by its name; nil when no worker has brought it.
    package func model(named name: String) async throws -> ModelRecord? {
        try await pool.query(
            """
            SELECT name, digest, defaults::text AS defaults, recorded_at FROM model
            WHERE name = \(name)
            """
        ).first.map(ModelRecord.init)
    }

    /// Returns the workers that are not lost, by name.
    package func workers() async throws -> [WorkerRecord] {
        try await pool.query(
            """
            SELECT worker.id, worker.name, worker.state, worker.pool, worker.model_name,
                worker.model_digest, worker.precision, worker.registered_at, worker.last_seen_at,
                (SELECT count(*) FROM task
                    WHERE task.worker_id = worker.id AND task.state = 'leased') AS leased_tasks
            FROM worker WHERE worker.state <> 'lost' ORDER BY worker.name, worker.registered_at
            """
        ).map(WorkerRecord.init)
    }

    /// Extends the leases of the attempts that a worker runs, and says which of them to stop.
    package func heartbeat(
        worker: WorkerID,
        attempts: [AttemptFence]
    ) async throws -> HeartbeatOutcome {
        let heard = try await pool.execute(
            """
            UPDATE worker SET last_seen_at = now(),
                state = CASE WHEN state = 'lost' THEN 'idle' ELSE state END
            WHERE id = \(worker)
            """
        )
        guard heard == 1 else { return .unknownWorker }
        guard !attempts.isEmpty else { return .answer(extended: [], cancel: []) }
        let rows = try await pool.query(
            """
            WITH held AS (
                SELECT task.id FROM task
                JOIN unnest(\(attempts.map(\.task))::uuid[], \(attempts.map(\.attempt))::uuid[],
                    \(attempts.map(\.epoch))::bigint[]) AS fence (task, attempt, epoch)
                    ON task.id = fence.task AND task.attempt_id = fence.attempt
                        AND task.epoch = fence.epoch
                WHERE task.state = 'leased' AND task.worker_id = \(worker)
                ORDER BY task.id FOR NO KEY UPDATE OF task
            )
            UPDATE task
            SET lease_deadline = now() + make_interval(secs => \(configuration.lease.inSeconds))
            FROM held WHERE task.id = held.id
            RETURNING task.attempt_id
            """
        )
        let extended = Set(try rows.map { try $0.decode("attempt_id", as: AttemptID.self) })
        return .answer(
            extended: attempts.filter { extended.contains($0.attempt) },
            cancel: attempts.filter { !extended.contains($0.attempt) }
        )
    }
}
