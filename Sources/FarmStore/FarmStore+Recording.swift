import FarmModel
import Postgres

/// A hint to whoever listens; never the only way to learn of something.
enum FarmChannel: String, PostgresEncodable {
    /// A head got ready tasks, or was unblocked.
    case ready = "farm_ready"
    /// A job has new events; the payload is its id.
    case event = "farm_event"
    /// A pause, a cancellation, or an operator's wish for a worker.
    case control = "farm_control"
}

extension FarmStore {
    /// Calls the body inside a transaction, again when the server chose it to resolve a conflict.
    ///
    /// What an operator does locks many rows; where that crosses a worker's write in the moments
    /// that the order of locks cannot rule out, one of the two is tried again. The statements of a
    /// long one may take as long as they do.
    func withRetriedTransaction<R>(
        isLong: Bool = false,
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        try await pool.withRetries {
            isLong
                ? try await pool.withLongTransaction(body)
                : try await pool.withTransaction(body)
        }
    }

    /// Writes an event of a job, numbered under the job's lock, and tells who listens.
    static func recordEvent(
        _ kind: EventKind,
        of job: JobID,
        _ data: EventData = EventData(),
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            WITH numbered AS (
                UPDATE job SET event_count = event_count + 1 WHERE id = \(job)
                RETURNING id, event_count
            )
            INSERT INTO event (job_id, number, kind, data)
            SELECT id, event_count, \(kind.rawValue), \(try FarmJSON.text(data))::jsonb FROM numbered
            """
        )
        try await notify(.event, job.description, on: connection)
    }

    /// Writes who changed what, and from where (``AuditOrigin``); nothing is taken away from it.
    static func recordAudit(
        _ action: String,
        _ target: String,
        by actor: String,
        _ detail: [String: String] = [:],
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            INSERT INTO audit (actor, action, target, detail, origin)
            VALUES (\(actor), \(action), \(target), \(try FarmJSON.text(detail))::jsonb,
                \(AuditOrigin.current))
            """
        )
    }

    /// Sends a hint when the transaction commits.
    static func notify(
        _ channel: FarmChannel,
        _ payload: String,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute("SELECT pg_notify(\(channel), \(payload))")
    }
}
