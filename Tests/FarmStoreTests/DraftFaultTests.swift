import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct DraftFaultTests {
    @Test("a draft whose lease lapses, or that is parked, is made again and is a draft then")
    func lapseAndPark() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 1)
        let first = try await scene.farm.claimOne(scene.worker)
        #expect(try await scene.save(first))
        try await scene.farm.lapseAll()
        _ = try await scene.store.runExpiry()
        #expect(try await scene.tell(first) == .stale)
        let second = try await scene.farm.claimOne(scene.worker)
        #expect(try await scene.store.draftSteps(of: second.fence.task) == 2)
        try await scene.farm.pool.execute("UPDATE lease SET park_for = gen_random_uuid()")
        #expect(try await scene.store.parkAttempt(second.fence, image: 0, step: 1) == .done(.ready))
        #expect(try await scene.renderAll().drafts == [0])
        #expect(try await scene.farm.state(job) == .drafted)
        #expect(try await scene.checkpoints() == 1)
        try await scene.check()
    }

    @Test("a cancelled job loses its drafts with their checkpoints")
    func cancel() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 2)
        try await scene.renderAll()
        #expect(try await scene.store.cancelJob(job, by: "ann") == .cancelled(leased: 0))
        #expect(try await scene.view(job).images == ImageTally(cancelled: 2))
        #expect(try await scene.checkpoints() == 0)
        #expect(try await scene.store.images(of: job, limit: 9).map(\.draft) == [nil, nil])
        #expect(
            try await scene.store.keepDrafts(of: job, images: [0], by: "ann")
                == .refused(index: 0, .cancelled, nil)
        )
        try await scene.check()
    }

    @Test("a held job stays held when its drafts are there, and what is kept waits for it to go on")
    func pause() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 2)
        let task = try await scene.farm.claimOne(scene.worker)
        guard case .done = try await scene.store.pauseJob(job, by: "ann") else {
            throw Farm.Unexpected(what: "the job is not held")
        }
        #expect(try await scene.save(task))
        #expect(try await scene.tell(task) == .done(.drafted))
        #expect(try await scene.farm.state(job) == .paused)
        _ = try await scene.store.resumeJob(job, by: "ann")
        try await scene.renderAll()
        #expect(try await scene.farm.state(job) == .drafted)
        guard case .done(let held) = try await scene.store.pauseJob(job, by: "ann") else {
            throw Farm.Unexpected(what: "the job is not held")
        }
        #expect(held.state == .paused)
        #expect(
            try await scene.store.keepDrafts(of: job, images: [1], by: "ann") == .decided(images: 1)
        )
        #expect(try await scene.farm.claim(scene.worker).isEmpty)
        _ = try await scene.store.resumeJob(job, by: "ann")
        #expect(try await scene.renderAll().delivered == [1])
        #expect(try await scene.farm.state(job) == .drafted)
        try await scene.check()
    }

    @Test(
        "what was kept and fails goes on from its checkpoint; one given up is tried again, a dropped one not"
    )
    func failure() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 3)
        try await scene.renderAll()
        _ = try await scene.store.keepDrafts(of: job, images: [0], by: "ann")
        _ = try await scene.store.dropDrafts(of: job, images: [1], by: "ann")
        let first = try await scene.farm.claimOne(scene.worker)
        let passing = AttemptFailure(failureClass: .transient, message: "the disk hiccups")
        #expect(try await scene.store.failAttempt(first.fence, failure: passing) == .done(.ready))
        try await scene.farm.endBackoff()
        let second = try await scene.farm.claimOne(scene.worker)
        #expect(try await scene.store.draftSteps(of: second.fence.task) == nil)
        #expect(try await scene.store.checkpoints(of: second.fence.task).map(\.step) == [2])
        let final = AttemptFailure(failureClass: .deterministic, message: "no such slot")
        #expect(try await scene.store.failAttempt(second.fence, failure: final) == .done(.failed))
        // One failed, one was dropped, one waits for a person.
        #expect(try await scene.farm.state(job) == .drafted)
        #expect(try await scene.events(job).suffix(2) == ["image.failed", "job.drafted"])
        try await scene.check()
        #expect(try await scene.store.retryJob(job, by: "ann") == .retried(images: 1))
        #expect(try await scene.farm.state(job) == .running)
        #expect(try await scene.renderAll().delivered == [0])
        _ = try await scene.store.dropDrafts(of: job, by: "ann")
        #expect(try await scene.farm.state(job) == .succeeded)
        #expect(try await scene.store.retryJob(job, by: "ann") == .nothingToRetry)
        try await scene.check()
    }

    @Test("a job with a failed image and dropped drafts has failed")
    func failedAndDropped() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 2)
        let task = try await scene.farm.claimOne(scene.worker)
        let final = AttemptFailure(failureClass: .deterministic, message: "no such slot")
        _ = try await scene.store.failAttempt(task.fence, failure: final)
        #expect(try await scene.renderAll().drafts == [1])
        _ = try await scene.store.dropDrafts(of: job, by: "ann")
        #expect(try await scene.farm.state(job) == .failed)
        try await scene.check()
    }

    @Test("a job that is given up with drafts makes them anew when it is tried again")
    func givenUp() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 3)
        try await scene.renderAll()
        _ = try await scene.store.keepDrafts(of: job, images: [0], by: "ann")
        _ = try await scene.store.dropDrafts(of: job, images: [1], by: "ann")
        _ = try await scene.store.giveUpJob(job, reason: "max_failures")
        #expect(try await scene.farm.state(job) == .failed)
        try await scene.check()
        #expect(try await scene.store.retryJob(job, by: "ann") == .retried(images: 2))
        let rendered = try await scene.renderAll()
        #expect(rendered.drafts == [2] && rendered.delivered == [0])
        #expect(try await scene.farm.state(job) == .drafted)
        _ = try await scene.store.keepDrafts(of: job, by: "ann")
        #expect(try await scene.renderAll().delivered == [2])
        #expect(try await scene.farm.state(job) == .succeeded)
        try await scene.check()
    }

    @Test("a draft's picture is named until it is dropped, or its job is deleted or erased")
    func blobs() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 3)
        try await scene.renderAll()
        let digests = (0..<3).map { BlobDigest(ofText: "draft \($0)") }
        #expect(try await scene.store.unreferenced(among: digests).isEmpty)
        _ = try await scene.store.dropDrafts(of: job, images: [0], by: "ann")
        #expect(try await scene.store.unreferenced(among: digests) == [digests[0]])
        _ = try await scene.store.keepDrafts(of: job, images: [1], by: "ann")
        #expect(try await scene.renderAll().delivered == [1])
        #expect(try await scene.store.unreferenced(among: digests) == [digests[0]])
        #expect(try await scene.store.erasurePreview(of: "ann").blobs >= 2)
        try await scene.store.holdBlobs(of: [job], for: "ann")
        _ = try await scene.store.cancelJob(job, by: "ann")
        #expect(try await scene.store.eraseJobs(of: "ann").jobs == 1)
        let held = try await scene.store.heldBlobs(of: "ann", after: nil, limit: 100)
        #expect(Set(held).isSuperset(of: digests[1...]))
        #expect(try await scene.farm.pool.query("SELECT FROM draft").isEmpty)
        #expect(try await scene.store.unreferenced(among: digests) == Set(digests))
        try await scene.check()
    }

    @Test("of two decisions at once one counts for each draft")
    func race() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 8)
        try await scene.renderAll()
        let store = scene.store
        async let kept = store.keepDrafts(of: job, by: "ann")
        async let dropped = store.dropDrafts(of: job, by: "bob")
        let counts = try await [kept, dropped].map { outcome in
            guard case .decided(let images) = outcome else { return -1 }
            return images
        }
        #expect(counts.sorted() == [0, 8])
        try await scene.check()
    }
}
