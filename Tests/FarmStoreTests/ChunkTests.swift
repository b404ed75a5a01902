import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// Failures in tasks of several images.
@Suite(.database, .timeLimit(.minutes(10))) struct ChunkTests {
    /// Lets the lease of a task run out.
    private func lapse(_ farm: Farm) async throws {
        try await farm.lapseAll()
        #expect(try await farm.store.runExpiry().lapsed == 1)
    }

    /// The indices of the images in a state.
    private func images(
        _ farm: Farm,
        _ job: JobID,
        _ state: ImageState
    ) async throws -> [Int] {
        try await farm.store.images(of: job, state: state, limit: 1000).map(\.index)
    }

    @Test("an image that cannot be rendered fails alone; the rest of its chunk is rendered")
    func named() async throws {
        let farm = try await Farm()
        let job = try await farm.job(images: 3)
        let worker = try await farm.worker()
        let first = try await farm.claimOne(worker)
        #expect(try await farm.deliver(first, index: 0) == .delivered(nil))
        let failure = AttemptFailure(
            failureClass: .deterministic,
            message: "no such slot",
            image: 1
        )
        #expect(try await farm.store.failAttempt(first.fence, failure: failure) == .done(.ready))
        #expect(try await farm.store.failAttempt(first.fence, failure: failure) == .done(.ready))
        #expect(try await images(farm, job, .failed) == [1])
        #expect(try await farm.violations() == [])
        let second = try await farm.claimOne(worker)
        #expect(second.images.map(\.index) == [2])
        #expect(
            try await farm.deliver(second, index: 2, final: AttemptTotals()) == .delivered(.failed)
        )
        let record = try #require(try await farm.store.job(job))
        #expect(record.state == .failed)
        #expect(record.images == ImageTally(delivered: 2, failed: 1))
        #expect(
            try await farm.store.events(of: job, limit: 20).map(\.kind) == [
                "job.created", "job.started", "image.delivered", "task.failed_attempt",
                "image.failed", "image.delivered", "job.failed",
            ]
        )
        #expect(try await farm.violations() == [])
    }

    @Test("a chunk that fails of nobody knows which image is tried one image at a time")
    func unnamed() async throws {
        let farm = try await Farm()
        let job = try await farm.job(images: 3)
        let worker = try await farm.worker()
        let failure = AttemptFailure(failureClass: .deterministic, message: "no such slot")
        let chunk = try await farm.claimOne(worker)
        #expect(try await farm.store.failAttempt(chunk.fence, failure: failure) == .done(.ready))
        let first = try await farm.claimOne(worker)
        #expect(first.images.map(\.index) == [0])
        #expect(first.cost == chunk.cost / 3)
        #expect(try await farm.store.completeAttempt(first.fence) == .incomplete(undelivered: 3))
        #expect(
            try await farm.deliver(first, index: 0, final: AttemptTotals()) == .delivered(nil)
        )
        #expect(try await farm.store.completeAttempt(first.fence) == .done(.ready))
        #expect(try await farm.store.completeAttempt(first.fence) == .done(.ready))
        let second = try await farm.claimOne(worker)
        #expect(second.images.map(\.index) == [1])
        #expect(try await farm.store.failAttempt(second.fence, failure: failure) == .done(.ready))
        let third = try await farm.claimOne(worker)
        #expect(third.images.map(\.index) == [2])
        #expect(try await farm.violations() == [])
        #expect(
            try await farm.deliver(third, index: 2, final: AttemptTotals()) == .delivered(.failed)
        )
        #expect(try await images(farm, job, .delivered) == [0, 2])
        #expect(try await images(farm, job, .failed) == [1])
        #expect(
            try await farm.store.attempts(of: chunk.fence.task).map(\.outcome)
                == ["failed", "succeeded", "failed", "succeeded"]
        )
        // What is charged for the chunk is what was done of it.
        let charge = try await farm.store.accounts().first?.charge ?? 0
        #expect(abs(charge / chunk.cost - 2 / 3.0) < 0.01)
        #expect(try await farm.violations() == [])
    }

    @Test("losing its worker again and again with pictures in between makes no chunk poison")
    func progress() async throws {
        let farm = try await Farm()
        let job = try await farm.job(images: 10)
        let worker = try await farm.worker()
        for index in 0..<9 {
            let task = try await farm.claimOne(worker)
            #expect(task.images.map(\.index) == Array(index..<10))
            #expect(try await farm.deliver(task, index: index) == .delivered(nil))
            try await lapse(farm)
        }
        let last = try await farm.claimOne(worker)
        #expect(
            try await farm.deliver(last, index: 9, final: AttemptTotals())
                == .delivered(.succeeded)
        )
        #expect(try await farm.state(job) == .succeeded)
        #expect(try await farm.violations() == [])
    }

    @Test("of a chunk the image that kills its worker is found, and it alone is poison")
    func killer() async throws {
        let farm = try await Farm()
        let job = try await farm.job(images: 3) { $0.maxAttempts = 9 }
        let worker = try await farm.worker()
        // The second image kills the worker before the first one's picture is on its way.
        for _ in 0..<3 {
            #expect(try await farm.claimOne(worker).images.count == 3)
            try await lapse(farm)
        }
        let first = try await farm.claimOne(worker)
        #expect(first.images.map(\.index) == [0])
        #expect(try await farm.deliver(first, index: 0) == .delivered(nil))
        #expect(try await farm.store.completeAttempt(first.fence) == .done(.ready))
        for _ in 0..<3 {
            #expect(try await farm.claimOne(worker).images.map(\.index) == [1])
            try await lapse(farm)
        }
        #expect(try await images(farm, job, .failed) == [1])
        let last = try await farm.claimOne(worker)
        #expect(last.images.map(\.index) == [2])
        #expect(
            try await farm.deliver(last, index: 2, final: AttemptTotals()) == .delivered(.failed)
        )
        let failed = try #require(
            try await farm.store.images(of: job, state: .failed, limit: 9).first
        )
        #expect(failed.failure?.message.hasPrefix("poison: given up after 3 failed") == true)
        #expect(try await farm.violations() == [])
    }
}
