import FarmModel
import Logging
import Postgres

/// What the store logs of what it has changed: a line a change, with the ids of what it is about.
///
/// A change is told by the process that made it, once it is committed.
extension FarmStore {
    /// How many changes that were made at one time are told one by one; more of them are one line.
    static let mostLines = 20

    /// Logs a change that is committed.
    func log(_ change: String, _ fields: [String: String]) {
        logger.info("\(change)", metadata: fields.mapValues { .string($0) })
    }

    /// Logs a change once its transaction is committed.
    func log(
        _ change: String,
        _ fields: [String: String],
        on connection: PostgresConnection
    ) {
        connection.afterCommit { log(change, fields) }
    }

    // MARK: - Tasks

    /// Logs what was claimed.
    func log(claimed: [(worker: WorkerID, task: ClaimedTask)], in pool: String) {
        for (worker, task) in claimed {
            log(
                "Task claimed",
                [
                    "job": "\(task.job)", "task": "\(task.fence.task)",
                    "attempt": "\(task.fence.attempt)", "worker": "\(worker)",
                    "owner": task.owner, "pool": pool, "images": "\(task.images.count)",
                ]
            )
        }
    }

    /// Logs the ends of attempts and what they mean for their tasks, once they are committed.
    func log(
        _ ends: [(lease: EndingLease, end: AttemptEnd, verdict: AttemptVerdict)],
        on connection: PostgresConnection
    ) {
        guard ends.count <= Self.mostLines else {
            let counts = Dictionary(grouping: ends, by: \.end.ending).mapValues(\.count)
            var fields = ["tasks": "\(ends.count)"]
            for (ending, count) in counts { fields[ending.rawValue] = "\(count)" }
            return log("Tasks left their workers", fields, on: connection)
        }
        for (lease, end, verdict) in ends {
            var fields = [
                "job": "\(lease.job)", "task": "\(lease.task)", "attempt": "\(lease.attempt)",
                "worker": "\(lease.worker)", "worker_name": lease.workerName,
                "owner": lease.owner, "task_state": verdict.state.rawValue,
            ]
            if let failure = end.failure {
                fields["class"] = failure.failureClass.rawValue
                fields["error"] = failure.message
            }
            log("Task \(end.ending.rawValue)", fields, on: connection)
        }
    }

    /// Logs what a statement of deliveries has delivered and ended.
    func log(_ echoes: [DeliveryEcho], of batch: [Delivery]) {
        var ended: Set<TaskID> = []
        var over: Set<JobID> = []
        for (echo, delivery) in zip(echoes, batch) {
            guard let job = echo.job else { continue }
            var fields = [
                "job": "\(job.id)", "task": "\(delivery.fence.task)",
                "attempt": "\(delivery.fence.attempt)", "worker": "\(job.worker)",
                "owner": job.owner,
            ]
            if echo.isNew, let image = delivery.image {
                let own = ["image": "\(image.index)", "size": "\(image.output.size)"]
                log("Image delivered", fields.merging(own) { $1 })
            }
            if let state = echo.task?.state, state.isFinal,
                ended.insert(delivery.fence.task).inserted
            {
                fields["task_state"] = state.rawValue
                log("Task succeeded", fields)
            }
            if let state = job.end, over.insert(job.id).inserted {
                log("Job \(state.rawValue)", ["job": "\(job.id)", "owner": job.owner])
            }
        }
    }

    // MARK: - Workers and groups

    /// Logs that workers fell silent.
    func log(lost workers: [(id: WorkerID, name: String, pool: String)]) {
        guard workers.count <= Self.mostLines else {
            return log("Workers lost", ["workers": "\(workers.count)"])
        }
        for worker in workers {
            log(
                "Worker lost",
                ["worker": "\(worker.id)", "worker_name": worker.name, "pool": worker.pool]
            )
        }
    }

    /// Logs a change of a group once it is committed.
    func log(
        _ change: String,
        of group: GroupRecord,
        _ more: [String: String] = [:],
        on connection: PostgresConnection
    ) {
        let own = [
            "group": "\(group.id)", "group_name": group.name, "pool": group.pool,
            "epoch": "\(group.epoch)",
        ]
        log(change, own.merging(more) { $1 }, on: connection)
    }
}
