package import FarmModel
import Postgres

extension FarmStore {
    /// How many lines of one attempt are kept; what comes after is dropped.
    static let linesOfAttempt = 10_000

    /// Keeps lines of a worker's attempts, each once, and returns how many were new.
    ///
    /// An attempt that is over still takes its last lines; one of another worker takes none.
    @discardableResult
    package func appendLog(worker: WorkerID, _ lines: [LogLine]) async throws -> Int {
        let lines = lines.filter { (0..<Self.linesOfAttempt).contains($0.number) }
        guard !lines.isEmpty else { return 0 }
        return try await pool.execute(
            """
            WITH new AS (
                SELECT * FROM unnest(\(lines.map(\.attempt))::uuid[],
                    \(lines.map(\.number))::integer[], \(lines.map(\.at))::timestamptz[],
                    \(lines.map(\.level))::text[], \(lines.map(\.text))::text[])
                    AS line (attempt_id, number, at, level, text)
            ), known AS (
                SELECT attempt_id, task_id FROM lease WHERE worker_id = \(worker)
                UNION ALL
                SELECT id, task_id FROM attempt WHERE worker_id = \(worker)
                    AND id IN (SELECT attempt_id FROM new)
            )
            INSERT INTO log_line (attempt_id, number, task_id, at, level, text)
            SELECT new.attempt_id, new.number, known.task_id, new.at, new.level, new.text
            FROM new JOIN known ON known.attempt_id = new.attempt_id
            ON CONFLICT DO NOTHING
            """
        )
    }

    /// Returns a task's log, attempt by attempt in their order, from the given line on.
    package func log(of task: TaskID, offset: Int = 0, limit: Int) async throws -> [LogLine] {
        try await pool.query(
            """
            SELECT attempt_id, number, at, level, text FROM (
                SELECT *, min(at) OVER (PARTITION BY attempt_id) AS began
                FROM log_line WHERE task_id = \(task)
            ) AS line
            ORDER BY began, attempt_id, number OFFSET \(offset) LIMIT \(limit)
            """
        ).map { row in
            LogLine(
                attempt: try row.decode("attempt_id"),
                number: try row.decode("number"),
                at: try row.decode("at"),
                level: try row.decode("level"),
                text: try row.decode("text")
            )
        }
    }
}
