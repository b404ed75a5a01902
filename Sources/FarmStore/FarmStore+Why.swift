package import FarmModel
import FoundationEssentials
import Postgres

/// Tasks that wait for the same reason.
package struct WaitingSummary: Sendable, Hashable {
    package let cause: WaitingCause
    /// How many tasks wait for it.
    package let tasks: Int

    package init(cause: WaitingCause, tasks: Int) {
        self.cause = cause
        self.tasks = tasks
    }
}

extension FarmStore {
    /// Returns why a job's waiting tasks wait, one reason each, the ready ones first; nil when
    /// there is no such job.
    ///
    /// What is at a worker or over waits for nothing and is not counted.
    package func why(
        job id: JobID,
        blobs: BlobRoom? = nil
    ) async throws -> [WaitingSummary]? {
        try await pool.withConnection { connection in
            let exists = try await connection.query("SELECT FROM job WHERE id = \(id)").count == 1
            guard exists else { return nil }
            let farm = try await diagnosis(blobs, on: connection)
            let ready = farm.heads.filter { $0.head.job == id && $0.ready > 0 }
                .map { WaitingSummary(cause: farm.cause(of: $0), tasks: $0.ready) }
            return try await ready + resting(of: id, in: farm, on: connection)
                + drafts(of: id, on: connection)
        }
    }

    /// Returns why a task waits; nil when it does not, or there is no such task.
    package func why(task id: TaskID, blobs: BlobRoom? = nil) async throws -> WaitingCause? {
        try await why(tasks: [id], blobs: blobs)[id]
    }

    /// Returns why each of some tasks waits, without those that do not.
    ///
    /// One pass over what is ready beside them, and the queries of one diagnosis.
    package func why(
        tasks ids: [TaskID],
        blobs: BlobRoom? = nil
    ) async throws -> [TaskID: WaitingCause] {
        guard !ids.isEmpty else { return [:] }
        return try await pool.withConnection { connection in
            let rows = try await connection.query(
                """
                WITH wanted AS (
                    SELECT id, head_id, state, failure_message FROM task WHERE id = ANY(\(ids)::uuid[])
                ), placed AS (
                    SELECT task_id, row_number() OVER (PARTITION BY head_id ORDER BY number) - 1
                        AS before
                    FROM ready WHERE head_id IN (SELECT head_id FROM wanted)
                )
                SELECT wanted.id, wanted.head_id, coalesce(placed.before, 0) AS before,
                    resting.until, wanted.failure_message, wanted.state = 'drafted' AS is_draft
                FROM wanted LEFT JOIN placed ON placed.task_id = wanted.id
                LEFT JOIN resting ON resting.task_id = wanted.id
                WHERE placed.task_id IS NOT NULL OR resting.task_id IS NOT NULL
                    OR wanted.state = 'drafted'
                """
            )
            guard !rows.isEmpty else { return [:] }
            let farm = try await diagnosis(blobs, on: connection)
            let heads = Dictionary(uniqueKeysWithValues: farm.heads.map { ($0.head.id, $0) })
            return try rows.reduce(into: [:]) { causes, row in
                let id = try row.decode("id", as: TaskID.self)
                guard try !row.decode("is_draft", as: Bool.self) else { return causes[id] = .draft }
                guard let head = heads[try row.decode("head_id")] else { return }
                if head.block == nil, let until = try row.decodeIfPresent("until", as: Date.self) {
                    causes[id] = .backoff(
                        until: until,
                        failure: try row.decodeIfPresent("failure_message")
                    )
                } else {
                    causes[id] = farm.cause(of: head, before: try row.decode("before"))
                }
            }
        }
    }

    /// Returns how many tasks wait for each reason, zero included.
    ///
    /// A few queries whose cost is that of counting what is ready.
    package func waitingCounts(blobs: BlobRoom? = nil) async throws -> [WaitingReason: Int] {
        try await pool.withConnection { connection in
            let farm = try await diagnosis(blobs, on: connection)
            var counts = Dictionary(
                uniqueKeysWithValues: WaitingReason.allCases.map { ($0, 0) }
            )
            for head in farm.heads where head.ready > 0 {
                counts[farm.cause(of: head).reason, default: 0] += head.ready
            }
            for summary in try await resting(of: nil, in: farm, on: connection) {
                counts[summary.cause.reason, default: 0] += summary.tasks
            }
            for summary in try await drafts(of: nil, on: connection) {
                counts[summary.cause.reason, default: 0] += summary.tasks
            }
            return counts
        }
    }

    /// Returns why no worker that is live now could run a task; nil when one could.
    package func unrunnable(
        model name: String,
        digest: String,
        _ requirement: TaskRequirement
    ) async throws -> WaitingCause? {
        try await pool.withConnection { connection in
            var view = QueueView(workers: try await capabilities(on: connection))
            view.formation = try await formation(on: connection)
            var demand = TaskDemand(modelDigest: digest, requirement: requirement)
            demand.isRenderedAlone = view.isRenderedAlone(demand)
            return WaitingDiagnosis(view: view).unrunnable(demand, model: name)
        }
    }

    /// What waits for a person to keep or drop it, of a job or of all together.
    private func drafts(
        of job: JobID?,
        on connection: PostgresConnection
    ) async throws -> [WaitingSummary] {
        let count = try await connection.query(
            """
            SELECT coalesce(sum(drafted_count), 0)::bigint AS drafts FROM job
            WHERE drafted_count > 0 AND (\(job)::uuid IS NULL OR id = \(job))
            """
        ).first?.decode("drafts", as: Int.self)
        guard let count, count > 0 else { return [] }
        return [WaitingSummary(cause: .draft, tasks: count)]
    }

    /// What rests, head by head: for the head's block where it has one, else until the first of
    /// them is due.
    private func resting(
        of job: JobID?,
        in farm: WaitingDiagnosis,
        on connection: PostgresConnection
    ) async throws -> [WaitingSummary] {
        let rows = try await connection.query(
            """
            SELECT resting.head_id, count(*) AS tasks, min(resting.until) AS until, (
                SELECT task.failure_message FROM resting AS first
                JOIN task ON task.id = first.task_id
                WHERE first.head_id = resting.head_id ORDER BY first.until LIMIT 1
            ) AS failure
            FROM resting JOIN head ON head.id = resting.head_id
            WHERE \(job)::uuid IS NULL OR head.job_id = \(job)
            GROUP BY resting.head_id ORDER BY resting.head_id
            """
        )
        let heads = Dictionary(uniqueKeysWithValues: farm.heads.map { ($0.head.id, $0) })
        return try rows.map { row in
            let tasks = try row.decode("tasks", as: Int.self)
            if let head = heads[try row.decode("head_id")], head.block != nil {
                return WaitingSummary(cause: farm.cause(of: head), tasks: tasks)
            }
            return WaitingSummary(
                cause: .backoff(
                    until: try row.decode("until"),
                    failure: try row.decodeIfPresent("failure")
                ),
                tasks: tasks
            )
        }
    }
}
