import FarmModel
import FarmStore
import Foundation
import Postgres
import Testing

/// A farm with jobs whose images wait as drafts after step 2 of 8.
struct DraftScene {
    let farm: Farm
    let worker: WorkerID

    static let step = 2
    static let steps = 8

    var store: FarmStore { farm.store }

    init() async throws {
        farm = try await Farm { $0.backoff = .milliseconds(1) }
        worker = try await farm.worker(numericClass: "c") {
            $0.speed = 1e12
            $0.parks = true
        }
    }

    func job(
        images: Int,
        owner: String = "ann",
        change: (inout JobSubmission) -> Void = { _ in }
    ) async throws -> JobID {
        try await farm.job(tasks: images, owner: owner) {
            $0.draftSteps = Self.step
            $0.isSameClass = true
            change(&$0)
        }
    }

    /// Saves a checkpoint of the task's image.
    func save(_ task: ClaimedTask, step: Int = DraftScene.step) async throws -> Bool {
        let index = try #require(task.images.first).index
        return try await store.putCheckpoint(
            task.fence,
            CheckpointRecord(
                imageIndex: index,
                digest: "checkpoint-\(index)-\(step)",
                size: 10,
                step: step,
                numericClass: "c"
            )
        )
    }

    static func record(_ index: Int, step: Int = DraftScene.step) -> DraftRecord {
        DraftRecord(
            imageIndex: index,
            step: step,
            steps: steps,
            digest: BlobDigest(ofText: "draft \(index)").rawValue,
            size: 5,
            type: .jpeg
        )
    }

    /// Tells the draft of the task's image.
    func tell(_ task: ClaimedTask, step: Int = DraftScene.step) async throws -> DraftOutcome {
        let index = try #require(task.images.first).index
        return try await store.draftAttempt(task.fence, Self.record(index, step: step))
    }

    /// Renders what there is to claim, as a worker does, and returns the indices of what became a draft and
    /// of what was delivered.
    @discardableResult
    func renderAll() async throws -> (drafts: [Int], delivered: [Int]) {
        var (drafts, delivered): ([Int], [Int]) = ([], [])
        while let task = try await farm.claim(worker).first {
            let index = try #require(task.images.first).index
            if try await store.draftSteps(of: task.fence.task) != nil {
                #expect(try await save(task))
                #expect(try await tell(task) == .done(.drafted))
                drafts.append(index)
            } else {
                _ = try await farm.deliver(task, final: AttemptTotals())
                delivered.append(index)
            }
        }
        return (drafts.sorted(), delivered.sorted())
    }

    func view(_ job: JobID) async throws -> JobRecord {
        try #require(try await store.job(job))
    }

    /// The states of the job's images, by index.
    func states(_ job: JobID) async throws -> [ImageState] {
        try await store.images(of: job, limit: 100).map(\.state)
    }

    /// The kinds of the job's events.
    func events(_ job: JobID) async throws -> [String] {
        try await store.events(of: job, limit: 100).map(\.kind)
    }

    func checkpoints() async throws -> Int {
        try await farm.pool.query("SELECT FROM checkpoint").count
    }

    /// Checks that nothing is wrong in the database.
    func check() async throws {
        #expect(try await farm.violations() == [])
    }
}
