import FarmModel
import Postgres

extension FarmStore {
    /// Locks the groups for which is claimed, before heads are.
    func lockLead(
        _ slots: [ClaimSlot],
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            SELECT FROM worker_group WHERE id IN (
                SELECT group_id FROM worker WHERE id = ANY(\(slots.map(\.worker))::uuid[])
            ) ORDER BY id FOR SHARE
            """
        )
    }

    /// Writes into a job's events that a group took its tasks which has fewer members than asked for.
    func tellFallback(
        of head: HeadView,
        to worker: WorkerCapability,
        _ rows: [Row],
        on connection: PostgresConnection
    ) async throws {
        for row in rows where try row.decode("head_id", as: Int64.self) == head.id {
            var data = EventData()
            data.task = try row.decode("task_id")
            data.attempt = try row.decode("attempt_id")
            data.worker = worker.name
            data.reason =
                "a group of \(worker.groupSize) renders it: the group of "
                + "\(head.requirement.groupSize) that it asks for lacks members"
            try await Self.recordEvent(.taskFellBack, of: head.job, data, on: connection)
        }
    }
}
