import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct DraftTests {
    @Test("images stop as drafts, what is kept goes on from its checkpoint, the rest is dropped")
    func wholeWay() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 4) { $0.webhook = "http://hook.test/" }
        #expect(try await scene.renderAll().drafts == [0, 1, 2, 3])
        var view = try await scene.view(job)
        #expect(view.state == .drafted)
        #expect(view.images == ImageTally(drafted: 4))
        #expect(view.liveTaskCount == 4 && view.leasedTaskCount == 0)
        #expect(try await scene.states(job) == [.drafted, .drafted, .drafted, .drafted])
        #expect(try await scene.store.imageStates(of: job) == "pppp")
        #expect(try await scene.store.jobs(state: .drafted, limit: 10).map(\.id) == [job])
        #expect(try await scene.store.jobs(state: .running, limit: 10).isEmpty)
        #expect(try await scene.store.why(job: job) == [WaitingSummary(cause: .draft, tasks: 4)])
        #expect(try await scene.store.waitingCounts()[.draft] == 4)
        #expect(try await scene.store.gauges().tasks[.drafted] == 4)
        #expect(try await scene.events(job).last == "job.drafted")
        try await scene.check()

        let kept = try await scene.store.keepDrafts(of: job, images: [1, 3], by: "ann")
        #expect(kept == .decided(images: 2))
        #expect(try await scene.states(job) == [.drafted, .waiting, .drafted, .waiting])
        #expect(try await scene.farm.state(job) == .running)
        try await scene.check()
        // The same again, as after a lost answer.
        let again = try await scene.store.keepDrafts(of: job, images: [1, 3], by: "ann")
        #expect(again == .decided(images: 0))
        let task = try await scene.farm.claimOne(scene.worker)
        #expect(try await scene.store.checkpoints(of: task.fence.task).map(\.step) == [2])
        #expect(try await scene.store.draftSteps(of: task.fence.task) == nil)
        #expect(try await scene.tell(task) == .unwanted(wanted: nil))
        #expect(
            try await scene.farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded)
        )
        #expect(try await scene.renderAll().delivered.count == 1)
        #expect(try await scene.farm.state(job) == .drafted)

        #expect(try await scene.store.dropDrafts(of: job, by: "ann") == .decided(images: 2))
        #expect(
            try await scene.store.dropDrafts(of: job, images: [0], by: "ann") == .decided(images: 0)
        )
        view = try await scene.view(job)
        #expect(view.state == .succeeded)
        #expect(view.images == ImageTally(delivered: 2, cancelled: 2))
        #expect(try await scene.checkpoints() == 0)
        #expect(
            try await scene.events(job) == [
                "job.created", "job.started", "image.drafted", "image.drafted", "image.drafted",
                "image.drafted", "job.drafted", "drafts.kept", "image.delivered",
                "image.delivered", "job.drafted", "drafts.dropped", "job.succeeded",
            ]
        )
        let hooks = try await scene.farm.pool.query(
            "SELECT body ->> 'event' AS event FROM webhook ORDER BY (body ->> 'number')::integer"
        ).map { try $0.decode("event", as: String.self) }
        #expect(hooks == ["job.drafted", "job.drafted", "job.succeeded"])
        let audit = try await scene.farm.pool.query(
            "SELECT detail ->> 'images' AS images FROM audit WHERE action = 'drafts.kept'"
        ).map { try $0.decode("images", as: String.self) }
        #expect(audit == ["1,3"])
        try await scene.check()
    }

    @Test("a draft is taken once, of the wanted step, with its checkpoint, under a current lease")
    func fences() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 1)
        let task = try await scene.farm.claimOne(scene.worker)
        #expect(try await scene.tell(task) == .noCheckpoint(kept: nil))
        #expect(try await scene.save(task, step: 1))
        #expect(try await scene.tell(task) == .noCheckpoint(kept: 1))
        #expect(try await scene.tell(task, step: 1) == .unwanted(wanted: 2))
        #expect(
            try await scene.store.draftAttempt(task.fence, DraftScene.record(7)) == .unknownImage
        )
        var stale = task.fence
        stale.epoch += 1
        #expect(try await scene.store.draftAttempt(stale, DraftScene.record(0)) == .stale)
        #expect(try await scene.farm.state(job) == .running)
        #expect(try await scene.save(task))
        #expect(try await scene.tell(task) == .done(.drafted))
        #expect(try await scene.tell(task) == .done(.drafted))
        #expect(try await scene.farm.deliver(task) == .stale)
        #expect(try await scene.save(task, step: 3) == false)
        #expect(try await scene.store.images(of: job, limit: 9).first?.draft?.step == 2)
        // Kept, it is at another attempt: the first one's answer stays what it was.
        _ = try await scene.store.keepDrafts(of: job, by: "ann")
        #expect(try await scene.tell(task) == .done(.ready))
        try await scene.check()
    }

    @Test("the owner is charged for the steps of a draft")
    func charge() async throws {
        let scene = try await DraftScene()
        _ = try await scene.job(images: 1)
        #expect(try await scene.renderAll().drafts == [0])
        let cost = try await scene.farm.pool.query("SELECT cost, outcome FROM attempt").map {
            (try $0.decode("cost", as: Double.self), try $0.decode("outcome", as: String.self))
        }
        #expect(cost.map(\.0) == [1e12 * 2 / 8])
        #expect(cost.map(\.1) == ["drafted"])
    }

    @Test("what is no draft is refused whole, and a decision is not taken back")
    func refusals() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 3)
        let task = try await scene.farm.claimOne(scene.worker)
        #expect(try await scene.save(task))
        #expect(try await scene.tell(task) == .done(.drafted))
        _ = try await scene.farm.claimOne(scene.worker)
        let store = scene.store
        #expect(
            try await store.keepDrafts(of: job, images: [0, 1], by: "ann")
                == .refused(index: 1, .rendering, nil)
        )
        #expect(
            try await store.dropDrafts(of: job, images: [0, 2], by: "ann")
                == .refused(index: 2, .waiting, nil)
        )
        #expect(try await scene.states(job).first == .drafted)
        #expect(try await store.keepDrafts(of: job, images: [0], by: "ann") == .decided(images: 1))
        #expect(
            try await store.dropDrafts(of: job, images: [0], by: "ann")
                == .refused(index: 0, .waiting, .kept)
        )
        #expect(try await store.keepDrafts(of: .random(), by: "ann") == .notFound)
        #expect(try await store.dropDrafts(of: .random(), by: "ann") == .notFound)
        try await scene.check()
    }

    @Test("a job of which every draft was dropped is cancelled")
    func dropAll() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 2)
        try await scene.renderAll()
        #expect(
            try await scene.store.dropDrafts(of: job, images: [0], by: "ann") == .decided(images: 1)
        )
        #expect(try await scene.farm.state(job) == .drafted)
        #expect(try await scene.store.dropDrafts(of: job, by: "ann") == .decided(images: 1))
        #expect(try await scene.farm.state(job) == .cancelled)
        let images = try await scene.store.images(of: job, limit: 9)
        #expect(images.map(\.draft?.decision) == [.dropped, .dropped])
        #expect(images.map(\.draft?.digest) == [nil, nil])
        try await scene.check()
    }

    @Test("drafts that nobody decides are dropped after their time, younger ones are not")
    func expiry() async throws {
        let scene = try await DraftScene()
        let job = try await scene.job(images: 3)
        try await scene.renderAll()
        _ = try await scene.store.keepDrafts(of: job, images: [2], by: "ann")
        #expect(try await scene.store.runRetention(RetentionPolicy()).drafts == 0)
        try await scene.farm.pool.execute(
            """
            UPDATE draft SET drafted_at = now() - interval '15 days'
            FROM image WHERE image.id = draft.image_id AND image.index IN (0, 2)
            """
        )
        var forever = RetentionPolicy()
        forever.drafts = nil
        #expect(try await scene.store.runRetention(forever).drafts == 0)
        #expect(try await scene.store.runRetention(RetentionPolicy()).drafts == 1)
        #expect(try await scene.states(job) == [.cancelled, .drafted, .waiting])
        let images = try await scene.store.images(of: job, limit: 9)
        #expect(images.map(\.draft?.decision) == [.expired, nil, .kept])
        #expect(try await scene.checkpoints() == 2)
        // Late is late: it cannot be kept, and dropping it changes nothing.
        #expect(
            try await scene.store.keepDrafts(of: job, images: [0], by: "ann")
                == .refused(index: 0, .cancelled, .expired)
        )
        #expect(
            try await scene.store.dropDrafts(of: job, images: [0], by: "ann") == .decided(images: 0)
        )
        try await scene.check()
    }
}
