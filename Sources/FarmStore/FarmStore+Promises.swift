import FarmModel
import Postgres

// What a worker was promised is a mark on the row of `ready`, which other claims leave alone, and the same
// on the worker's own, by which a claim that does not know of it gets nothing.

extension FarmStore {
    /// Writes the row of a task that can be claimed anew, promised to another worker than before, nil for
    /// nobody; false where it is not there so, or is to be promised and a claim looks at it.
    ///
    /// Its head has to be locked: who ends a job takes away the rows that there are then, and the new one
    /// would be left. Never an update: a claim that began before could lock the new version of the row and
    /// not see it to delete it.
    func requeueReady(
        _ task: TaskID,
        head: Int64,
        number: Int,
        from former: WorkerID?,
        to worker: WorkerID?,
        on connection: PostgresConnection
    ) async throws -> Bool {
        let taken = try await connection.execute(
            """
            DELETE FROM ready WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM ready WHERE head_id = \(head) AND number = \(number)
                    AND task_id = \(task) AND promised IS NOT DISTINCT FROM \(former)::uuid
                FOR UPDATE \(raw: worker == nil ? "" : "SKIP LOCKED")
            ))
            """
        )
        guard taken == 1 else { return false }
        return try await connection.execute(
            """
            INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index, image_count,
                cost, is_narrow, promised, avoid)
            SELECT head_id, number, id, job_id, epoch, first_index, image_count, cost, is_narrow,
                \(worker)::uuid, (
                    SELECT array_agg(DISTINCT worker_name) FROM failure
                    WHERE failure.task_id = task.id
                )
            FROM task WHERE id = \(task) AND state = 'ready'
            """
        ) == 1
    }

    /// Locks the head of a promised task, so that its row may be written anew.
    func lockHead(of promise: TaskPromise, on connection: PostgresConnection) async throws {
        try await connection.execute(
            "SELECT FROM head WHERE id = \(promise.head) FOR NO KEY UPDATE"
        )
    }

    /// Ends a worker's promise, and lets others have the task where it is still there; its head has to be
    /// locked.
    func endPromise(
        _ promise: TaskPromise,
        of worker: WorkerID,
        on connection: PostgresConnection
    ) async throws {
        _ = try await requeueReady(
            promise.task,
            head: promise.head,
            number: promise.number,
            from: worker,
            to: nil,
            on: connection
        )
        try await connection.execute(
            """
            UPDATE worker SET promised_task = NULL, promised_head = NULL, promised_number = NULL,
                promised_until = NULL
            WHERE id = \(worker) AND promised_task = \(promise.task)
            """
        )
        try await Self.notify(.ready, "promised", on: connection)
    }

    /// Ends promises that are not kept, and takes back orders to park whose task is not to go there.
    ///
    /// A promise is not kept where its time is over, the worker takes nothing, or the task is gone.
    func dropVoidPromises() async throws {
        let rows = try await pool.query(
            """
            SELECT id, promised_task, promised_head, promised_number FROM worker
            WHERE promised_task IS NOT NULL AND (promised_until < now() OR NOT \(raw: Self.isAtWork)
                OR NOT EXISTS (
                    SELECT FROM ready WHERE ready.head_id = worker.promised_head
                        AND ready.number = worker.promised_number
                        AND ready.task_id = worker.promised_task
                        AND ready.promised = worker.id
                ))
            """
        )
        for row in rows {
            let promise = TaskPromise(
                task: try row.decode("promised_task"),
                head: try row.decode("promised_head"),
                number: try row.decode("promised_number")
            )
            let worker = try row.decode("id", as: WorkerID.self)
            try await withRetriedTransaction { connection in
                try await lockHead(of: promise, on: connection)
                try await endPromise(promise, of: worker, on: connection)
            }
        }
        if !rows.isEmpty { desk.expire() }
        try await pool.execute(
            """
            WITH void AS (
                SELECT lease.task_id FROM lease
                WHERE lease.park_for IS NOT NULL AND NOT EXISTS (
                    SELECT FROM worker WHERE worker.id = lease.worker_id
                        AND worker.promised_task = lease.park_for
                ) AND NOT EXISTS (
                    SELECT FROM lease AS next WHERE next.task_id = lease.park_for
                        AND next.worker_id = lease.worker_id AND next.begun_at IS NULL
                )
                ORDER BY lease.task_id FOR NO KEY UPDATE OF lease SKIP LOCKED
            )
            UPDATE lease SET park_for = NULL FROM void WHERE lease.task_id = void.task_id
            """
        )
    }
}
