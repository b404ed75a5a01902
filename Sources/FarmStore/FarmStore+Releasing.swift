import FarmModel
import Postgres

extension FarmStore {
    /// Ends every lease of a worker the same way, and returns how many there were.
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
        let held = try await lockLeases(of: tasks, on: connection)
        return try await conclude(held.map { ($0, end) }, on: connection).count
    }
}
