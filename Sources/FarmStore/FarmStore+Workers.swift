package import FarmModel
import Postgres

extension FarmStore {
    /// Where the worker of a row stands, as SQL: busy by what it holds, before its next heartbeat says so.
    static let workerState = """
        CASE WHEN worker.state = 'idle' AND EXISTS (
                SELECT FROM lease WHERE lease.worker_id = worker.id
            ) THEN 'busy' ELSE worker.state END
        """

    /// The columns of a `WorkerRecord`; a WHERE follows.
    private static let selectWorker = """
        SELECT worker.id, worker.name, worker.epoch, worker.desired_state, \(workerState) AS state,
            worker.state_reason, worker.pool, worker.model_name, worker.model_digest,
            worker.precision, worker.numeric_class, worker.memory_bytes, worker.tags,
            worker.speed, worker.engine, worker.info::text AS info, worker.registered_at,
            worker.last_seen_at, worker.clock_offset, worker.failures_in_a_row, error.job_id AS error_job,
            error.task_id AS error_task, error.failure_class, error.message AS failure_message,
            error.failed_at, worker.renders_alone, worker.group_id, worker.group_rank,
            worker_group.name AS group_name, \(servedSize) AS served_size
        FROM worker LEFT JOIN worker_group ON worker_group.id = worker.group_id
        LEFT JOIN LATERAL (
            SELECT job_id, task_id, failure_class, message, failed_at FROM failure
            WHERE failure.worker_name = worker.name ORDER BY failure.id DESC LIMIT 1
        ) AS error ON true
        """

    /// Returns the workers by name with what they hold and their last error; those that are lost
    /// only when asked for.
    package func workers(includingLost: Bool = false) async throws -> [WorkerRecord] {
        try await pool.withConnection { connection in
            let leases = try await workerLeases(of: nil, on: connection)
            return try await connection.query(
                """
                \(raw: Self.selectWorker) WHERE \(includingLost) OR worker.state <> 'lost'
                ORDER BY worker.name, worker.registered_at
                """
            ).map { try WorkerRecord($0, leases: leases) }
        }
    }

    /// Returns a worker; nil when there is none.
    package func worker(_ id: WorkerID) async throws -> WorkerRecord? {
        try await pool.withConnection { try await worker(id, on: $0) }
    }

    /// Returns the worker of a name that was heard of last; nil when there is none.
    package func worker(named name: String) async throws -> WorkerRecord? {
        try await pool.withConnection { connection in
            let id = try await connection.query(
                "SELECT id FROM worker WHERE name = \(name) ORDER BY last_seen_at DESC LIMIT 1"
            ).first?.decode("id", as: WorkerID.self)
            guard let id else { return nil }
            return try await worker(id, on: connection)
        }
    }

    func worker(_ id: WorkerID, on connection: PostgresConnection) async throws -> WorkerRecord? {
        let row = try await connection.query("\(raw: Self.selectWorker) WHERE worker.id = \(id)")
            .first
        guard let row else { return nil }
        return try WorkerRecord(row, leases: try await workerLeases(of: id, on: connection))
    }

    private func workerLeases(
        of worker: WorkerID?,
        on connection: PostgresConnection
    ) async throws -> [WorkerID: [WorkerLease]] {
        let rows = try await connection.query(
            """
            SELECT worker_id, task_id, attempt_id, epoch, job_id, owner, image_index, step, steps,
                step_seconds, claimed_at, begun_at, deadline
            FROM lease WHERE \(worker)::uuid IS NULL OR worker_id = \(worker)
            ORDER BY claimed_at, task_id
            """
        )
        var leases: [WorkerID: [WorkerLease]] = [:]
        for row in rows {
            leases[try row.decode("worker_id"), default: []].append(try WorkerLease(row))
        }
        return leases
    }

    /// Tells a worker what an operator wants of it: to run, to drain, to sleep, or to be left out.
    ///
    /// What a quarantined worker holds is released at once; a woken one starts with a clean count
    /// of failures. Returns the worker as it stands then, nil when there is none.
    package func setWorker(
        _ id: WorkerID,
        _ wish: DesiredWorkerState,
        reason: String? = nil,
        by actor: String
    ) async throws -> WorkerRecord? {
        try await withRetriedTransaction { connection in
            if wish == .quarantine {
                try await endEpoch(ofWorker: id, because: "was quarantined", on: connection)
                try await endLeases(ofWorker: id, .released, on: connection)
            }
            let changed = try await connection.execute(
                """
                UPDATE worker SET desired_state = \(wish), state_reason = \(reason),
                    failures_in_a_row = CASE WHEN \(wish) = 'run' THEN 0
                        ELSE failures_in_a_row END,
                    state = CASE WHEN state = 'lost' THEN 'lost'
                        WHEN \(wish) = 'quarantine' THEN 'quarantined'
                        WHEN \(wish) = 'run' THEN CASE
                            WHEN state IN ('draining', 'asleep', 'quarantined') THEN 'idle'
                            ELSE state END
                        WHEN EXISTS (SELECT FROM lease WHERE lease.worker_id = worker.id)
                            THEN 'draining'
                        ELSE 'asleep' END
                WHERE id = \(id)
                """
            )
            guard changed == 1 else { return nil }
            try await Self.recordAudit(
                "worker.\(wish.rawValue)",
                id.description,
                by: actor,
                reason.map { ["reason": $0] } ?? [:],
                on: connection
            )
            try await Self.notify(
                wish == .run ? .ready : .control,
                id.description,
                on: connection
            )
            guard let changed = try await worker(id, on: connection) else { return nil }
            var fields = [
                "worker": "\(id)", "worker_name": changed.name, "pool": changed.pool, "by": actor,
            ]
            fields["reason"] = reason
            log(Self.change(to: wish), fields, on: connection)
            return changed
        }
    }

    private static func change(to wish: DesiredWorkerState) -> String {
        switch wish {
        case .run: "Worker woken"
        case .drain: "Worker is to drain"
        case .sleep: "Worker is to sleep"
        case .quarantine: "Worker quarantined"
        }
    }

    /// Notes that a worker's process ends: what it still holds is released, and its name is free.
    ///
    /// Returns how many leases were released; nil when another process has the name by now.
    package func leaveWorker(_ id: WorkerID, epoch: Int64) async throws -> Int? {
        try await withRetriedTransaction { connection in
            let row = try await connection.query(
                "SELECT name, pool FROM worker WHERE id = \(id) AND epoch = \(epoch)"
            ).first
            guard let row else { return nil }
            try await endEpoch(ofWorker: id, because: "left", on: connection)
            let released = try await endLeases(ofWorker: id, .released, on: connection)
            try await connection.execute(
                """
                UPDATE worker SET instance = '', last_seen_at = now(), state = CASE
                    WHEN desired_state = 'quarantine' THEN 'quarantined' ELSE 'asleep' END,
                    state_reason = CASE WHEN desired_state = 'quarantine' THEN state_reason
                        ELSE 'its process ended' END
                WHERE id = \(id) AND epoch = \(epoch)
                """
            )
            log(
                "Worker left",
                [
                    "worker": "\(id)", "worker_name": try row.decode("name"),
                    "pool": try row.decode("pool"), "released": "\(released)",
                ],
                on: connection
            )
            return released
        }
    }
}
