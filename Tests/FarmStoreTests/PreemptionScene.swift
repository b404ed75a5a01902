import FarmModel
import FarmStore
import Foundation
import Postgres
import Testing

/// A farm whose workers render what they claim in steps of ten seconds, a hundred a task.
struct PreemptionScene {
    let farm: Farm

    var store: FarmStore { farm.store }

    init(_ change: (inout FarmStoreConfiguration) -> Void = { _ in }) async throws {
        farm = try await Farm(change)
    }

    func worker(_ name: String) async throws -> WorkerID {
        try await farm.worker(name) {
            $0.speed = 1e10
            $0.parks = true
        }
    }

    func job(_ priority: Int, tasks: Int = 1, owner: String = "ann") async throws -> JobID {
        let job = try await farm.job(tasks: tasks, owner: owner) {
            $0.priority = priority
            $0.tasks = (0..<tasks).map { _ in NewTask(imageCount: 1, cost: 1e13) }
        }
        store.queueChanged()
        return job
    }

    /// What a worker says of what it renders and holds ahead.
    @discardableResult
    func beat(
        _ worker: WorkerID,
        _ running: ClaimedTask? = nil,
        step: Int = 0,
        ahead: [ClaimedTask] = [],
        at other: FarmStore? = nil
    ) async throws -> HeartbeatRecord {
        var beat = HeartbeatRequest(state: .busy)
        if let running {
            let image = try #require(running.images.first).index
            beat.running = [
                AttemptProgress(fence: running.fence, image: image, step: step, steps: 100)
            ]
        }
        beat.ahead = ahead.map(\.fence)
        let outcome = try await (other ?? store).heartbeat(worker: worker, beat)
        guard case .answer(let record) = outcome else {
            throw Farm.Unexpected(what: "the worker is unknown")
        }
        return record
    }

    /// A worker that renders a task, for longer than the quantum, and holds another ahead where there is
    /// one.
    func busy(_ name: String) async throws -> Busy {
        let id = try await worker(name)
        let running = try await farm.claimOne(id)
        let ahead = try await farm.claim(id).first
        try await beat(id, running, step: 10, ahead: [ahead].compactMap(\.self))
        try await age(running)
        return Busy(id: id, running: running, ahead: ahead)
    }

    struct Busy {
        let id: WorkerID
        let running: ClaimedTask
        let ahead: ClaimedTask?
    }

    /// Lets a task have rendered for two minutes.
    func age(_ task: ClaimedTask) async throws {
        try await farm.pool.execute(
            """
            UPDATE lease SET begun_at = now() - interval '2 min'
            WHERE task_id = \(task.fence.task)
            """
        )
    }

    /// Stores a checkpoint and parks.
    func park(_ task: ClaimedTask, step: Int, kept: Int? = nil) async throws -> AttemptOutcome {
        let image = try #require(task.images.first).index
        if let kept {
            let isKept = try await store.putCheckpoint(
                task.fence,
                CheckpointRecord(
                    imageIndex: image,
                    digest: "checkpoint-\(kept)",
                    size: 1,
                    step: kept,
                    numericClass: ""
                )
            )
            #expect(isKept)
        }
        return try await store.parkAttempt(task.fence, image: image, step: step)
    }

    /// What the last event of a job tells, which has to be that something was parked.
    func parkedEvent(of job: JobID) async throws -> EventData {
        let event = try #require(try await store.events(of: job, limit: 20).last)
        #expect(event.kind == EventKind.taskParked.rawValue)
        return try FarmJSON.decode(EventData.self, from: Data(event.data.utf8))
    }

    /// What waits of a job.
    func ready(_ job: JobID) async throws -> Int {
        try await store.tasks(of: job).count { $0.state == .ready }
    }
}
