import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct PictureAuditTests {
    @Test("nothing is drawn where no share is set")
    func off() async throws {
        let scene = try await PictureAuditScene { $0.auditShare = 0 }
        _ = try await scene.delivered(by: scene.worker("one"), "right")
        #expect(try await scene.run() == PictureAuditReport())
        #expect(try await scene.store.pictureAudits(limit: 1).isEmpty)
    }

    @Test("a share of the pictures is drawn, those of a chunk one by one")
    func share() async throws {
        let scene = try await PictureAuditScene { $0.auditShare = 0.5 }
        let worker = try await scene.worker("one")
        try await scene.farm.job(images: 100)
        let task = try await scene.farm.claimOne(worker)
        for image in task.images {
            _ = try await scene.farm.deliver(task, index: image.index)
        }
        let drawn = try await scene.store.pictureAudits(limit: 100).count
        // Beyond it once in 10^12 runs.
        #expect((15...85).contains(drawn))
    }

    @Test("a copy is like its original to its worker, and nobody else sees it")
    func copy() async throws {
        let scene = try await PictureAuditScene()
        let one = try await scene.worker("one")
        let two = try await scene.worker("two")
        let job = try await scene.farm.job(tasks: 3) { $0.blobs = ["reference"] }
        let first = try await scene.farm.claimOne(one)
        try await scene.farm.pool.execute("UPDATE head SET blocked_by = 'job_paused'")
        try await scene.deliver(first, "right")
        #expect(try await scene.run().begun == 1)

        // Who made it never gets it, though it asks first.
        #expect(try await scene.farm.claim(one).isEmpty)
        let copy = try await scene.farm.claimOne(two)
        #expect(copy.fence.epoch == first.fence.epoch)
        #expect(copy.images.map(\.index) == first.images.map(\.index))
        let ids = [copy.fence.task.description, first.fence.task.description]
        #expect(Set(ids.map { $0.prefix(18) }).count == 1 && Set(ids).count == 2)
        let original = try #require(try await scene.store.original(ofCopy: copy.job))
        #expect(original.job == job && original.owner == "ann" && original.numericClass == nil)
        #expect(
            try await scene.store.artifactScope(of: copy.fence)?.owner
                == FarmOwner.artifacts(ofCopy: copy.job)
        )

        #expect(try await scene.store.jobs(limit: 10).map(\.id) == [job])
        let own = try await scene.store.jobs(owner: FarmOwner.audits, limit: 10)
        #expect(own.map(\.id) == [copy.job])
        #expect(own.first?.specification == (try await scene.store.job(job))?.specification)
        #expect(own.first?.priority == 0)
        #expect(try await scene.farm.violations() == [])
    }

    @Test("equal bytes are counted, and the copy is removed")
    func equal() async throws {
        let scene = try await PictureAuditScene()
        let (one, two) = (try await scene.worker("one"), try await scene.worker("two"))
        let job = try await scene.delivered(by: one, "right")
        try await scene.run()
        try await scene.copy(by: two, "right")
        #expect(try await scene.run().reached == [.equal: 1])
        let audit = try await scene.audit()
        #expect(audit.state == .equal && audit.liar == nil && audit.suspects.isEmpty)
        #expect(audit.renderings.map(\.name) == ["one", "two"])
        #expect(scene.store.counts.audits == [.equal: 1])
        #expect(try await scene.store.images(of: job, limit: 1).first?.output?.doubt == nil)
        // Copies are not audited themselves.
        #expect(try await scene.run() == PictureAuditReport())
        try await scene.expectClean()
    }

    @Test("a worker that two others contradict is quarantined, and its picture is in doubt")
    func original() async throws {
        let scene = try await PictureAuditScene()
        let liar = try await scene.worker("liar")
        let others = [try await scene.worker("two"), try await scene.worker("three")]
        let job = try await scene.delivered(by: liar, "wrong")
        try await scene.run()
        try await scene.copy(by: others[0], "right")
        let dispute = try await scene.run()
        #expect(dispute.reached == [.disputed: 1] && dispute.begun == 1)
        // Neither of the two that differ may judge.
        for one in [liar, others[0]] { #expect(try await scene.farm.claim(one).isEmpty) }
        try await scene.copy(by: others[1], "right")
        let report = try await scene.run()
        #expect(report.reached == [.different: 1] && report.quarantined == [liar])

        let worker = try #require(try await scene.store.worker(liar))
        #expect(worker.desiredState == .quarantine)
        let reason = try #require(worker.stateReason)
        #expect([job.description, "wrong", "right"].allSatisfy(reason.contains))
        for other in others { #expect(try await scene.wish(for: other) == .run) }
        #expect(try await scene.farm.claim(liar).isEmpty)

        let output = try #require(try await scene.store.images(of: job, limit: 1).first?.output)
        #expect(output.digest == "wrong")
        #expect(output.doubt?.contains("right") == true)
        let events = try await scene.store.events(of: job, limit: 10).map(\.kind)
        #expect(events.last == "image.doubted")
        let audit = try await scene.audit()
        #expect(audit.liar == "liar")
        let trail = try await scene.store.auditTrail(limit: 10)
        #expect(trail.contains { $0.action == "picture.different" && $0.actor == "farm" })
        let pictures = try await scene.store.pictures(ofLiarIn: audit.id, limit: 10)
        #expect(pictures.map(\.job) == [job])
        let rest = try await scene.store.pictures(
            ofLiarIn: audit.id,
            after: pictures.first?.image,
            limit: 10
        )
        #expect(rest.isEmpty)
        try await scene.expectClean()
    }

    @Test("of a liar's pictures those are listed that came after it was last found right")
    func pictures() async throws {
        let scene = try await PictureAuditScene()
        let liar = try await scene.worker("liar")
        let (two, three) = (try await scene.worker("two"), try await scene.worker("three"))
        _ = try await scene.delivered(by: liar, "right")
        try await scene.run()
        try await scene.copy(by: two, "right")
        try await scene.run()
        let wrong = try await scene.delivered(by: liar, "wrong")
        try await scene.run()
        try await scene.copy(by: two, "other")
        try await scene.run()
        try await scene.copy(by: three, "other")
        try await scene.run()
        let audit = try #require(try await scene.store.pictureAudits(limit: 1).first)
        #expect(audit.liar == "liar")
        let pictures = try await scene.store.pictures(ofLiarIn: audit.id, limit: 10)
        #expect(pictures.map(\.job) == [wrong])
    }

    @Test("an auditor that two others contradict is quarantined, and the picture is in no doubt")
    func auditor() async throws {
        let scene = try await PictureAuditScene()
        let one = try await scene.worker("one")
        let (liar, three) = (try await scene.worker("liar"), try await scene.worker("three"))
        let job = try await scene.delivered(by: one, "right")
        try await scene.run()
        try await scene.copy(by: liar, "wrong")
        try await scene.run()
        try await scene.copy(by: three, "right")
        #expect(try await scene.run().quarantined == [liar])
        #expect(try await scene.wish(for: one) == .run)
        #expect(try await scene.store.images(of: job, limit: 1).first?.output?.doubt == nil)
        #expect(try await scene.audit().liar == "liar")
        try await scene.expectClean()
    }

    @Test("three different pictures make three suspects and no liar")
    func undecided() async throws {
        let scene = try await PictureAuditScene()
        let workers = [
            try await scene.worker("one"), try await scene.worker("two"),
            try await scene.worker("three"),
        ]
        _ = try await scene.delivered(by: workers[0], "a")
        try await scene.run()
        try await scene.copy(by: workers[1], "b")
        try await scene.run()
        try await scene.copy(by: workers[2], "c")
        let report = try await scene.run()
        #expect(report.reached == [.undecided: 1] && report.quarantined.isEmpty)
        #expect(try await scene.audit().suspects == ["one", "two", "three"])
        for worker in workers { #expect(try await scene.wish(for: worker) == .run) }
        try await scene.expectClean()
    }

    @Test("without a third worker both are suspects once the dispute has lasted long enough")
    func noThird() async throws {
        let scene = try await PictureAuditScene()
        let (one, two) = (try await scene.worker("one"), try await scene.worker("two"))
        _ = try await scene.delivered(by: one, "a")
        try await scene.run()
        try await scene.copy(by: two, "b")
        #expect(try await scene.run().reached == [.disputed: 1])
        #expect(try await scene.run() == PictureAuditReport())
        try await scene.farm.pool.execute(
            "UPDATE picture_audit SET disputed_at = now() - interval '2 h'"
        )
        #expect(try await scene.run().reached == [.undecided: 1])
        #expect(try await scene.audit().suspects == ["one", "two"])
        for worker in [one, two] { #expect(try await scene.wish(for: worker) == .run) }
        let trail = try await scene.store.auditTrail(limit: 10)
        #expect(trail.contains { $0.action == "picture.undecided" })
        #expect(scene.store.counts.audits == [.undecided: 1])
        try await scene.expectClean()
    }

    @Test("a worker that went on with what another had begun is a suspect, and not quarantined")
    func shared() async throws {
        let scene = try await PictureAuditScene()
        let (zero, one) = (try await scene.worker("zero"), try await scene.worker("one"))
        let (two, three) = (try await scene.worker("two"), try await scene.worker("three"))
        let job = try await scene.farm.job()
        let begun = try await scene.farm.claimOne(zero)
        _ = try await scene.store.releaseAttempt(begun.fence)
        scene.store.queueChanged()
        try await scene.deliver(scene.farm.claimOne(one), "wrong")
        try await scene.run()
        #expect(try await scene.farm.claim(zero).isEmpty)
        try await scene.copy(by: two, "right")
        try await scene.run()
        try await scene.copy(by: three, "right")
        let report = try await scene.run()
        #expect(report.reached == [.different: 1] && report.quarantined.isEmpty)
        let audit = try await scene.audit()
        #expect(audit.liar == nil && audit.suspects == ["one"])
        #expect(try await scene.store.images(of: job, limit: 1).first?.output?.doubt != nil)
        try await scene.expectClean()
    }

    @Test("a sole worker of its class renders nothing again, and its audits end")
    func sole() async throws {
        let scene = try await PictureAuditScene()
        let one = try await scene.worker("one")
        _ = try await scene.farm.worker("other", numericClass: "int8/test")
        _ = try await scene.delivered(by: one, "right")
        #expect(try await scene.run() == PictureAuditReport())
        #expect(try await scene.store.jobs(owner: FarmOwner.audits, limit: 1).isEmpty)
        try await scene.farm.pool.execute(
            "UPDATE picture_audit SET drawn_at = now() - interval '2 d'"
        )
        #expect(try await scene.run().reached == [.noWorker: 1])
        try await scene.expectClean()
    }

    @Test("a copy stays with those that may have it though its other workers go")
    func departed() async throws {
        let scene = try await PictureAuditScene()
        let (one, two) = (try await scene.worker("one"), try await scene.worker("two"))
        _ = try await scene.delivered(by: one, "right")
        #expect(try await scene.run().begun == 1)
        _ = try await scene.store.setWorker(two, .drain, by: "test")
        scene.store.queueChanged()
        // Kept from it though nobody else can take it.
        #expect(try await scene.farm.claim(one).isEmpty)
        try await scene.farm.pool.execute(
            "UPDATE picture_audit SET drawn_at = now() - interval '2 d'"
        )
        #expect(try await scene.run().reached == [.noWorker: 1])
        try await scene.expectClean()
    }

    @Test("what fails is given up, and accuses nobody")
    func failed() async throws {
        let scene = try await PictureAuditScene()
        let (one, two) = (try await scene.worker("one"), try await scene.worker("two"))
        _ = try await scene.delivered(by: one, "right")
        try await scene.run()
        let copy = try await scene.farm.claimOne(two)
        _ = try await scene.store.failAttempt(
            copy.fence,
            failure: AttemptFailure(failureClass: .deterministic, message: "no such slot")
        )
        let report = try await scene.run()
        #expect(report.reached == [.noWorker: 1] && report.quarantined.isEmpty)
        try await scene.expectClean()
    }

    @Test("a job that is deleted ends the audit of its picture")
    func deleted() async throws {
        let scene = try await PictureAuditScene()
        let (one, two) = (try await scene.worker("one"), try await scene.worker("two"))
        let job = try await scene.delivered(by: one, "right")
        try await scene.run()
        let copy = try await scene.farm.claimOne(two)
        guard case .deleted = try await scene.store.deleteJob(job, by: "ann") else {
            throw Farm.Unexpected(what: "the job is not deleted")
        }
        #expect(try await scene.run().reached == [.moot: 1])
        #expect(try await scene.deliver(copy, "right") == .stale)
        try await scene.expectClean()
    }

    @Test("a copy finds what others computed but those that it judges; a liar's is forgotten")
    func artifacts() async throws {
        let scene = try await PictureAuditScene()
        let liar = try await scene.worker("liar")
        let (two, three) = (try await scene.worker("two"), try await scene.worker("three"))
        let store = scene.store
        let keys = ["liar", "three", "two"].map { ArtifactKey(.prompt, determinants: $0) }
        let artifact = ArtifactRecord(digest: "condition", size: 1)
        for (key, name) in zip(keys, ["liar", "three"]) {
            try await scene.farm.pool.execute(
                """
                INSERT INTO artifact (owner, key, digest, size, worker_name)
                VALUES ('ann', \(key), \(artifact.digest), \(artifact.size), \(name))
                """
            )
        }
        _ = try await scene.delivered(by: liar, "wrong")
        try await scene.run()
        let copy = try await scene.farm.claimOne(two)
        let scope = try #require(try await store.artifactScope(of: copy.fence))
        #expect(scope.worker == "two")
        #expect(try await store.artifact(in: scope, key: keys[0]) == nil)
        #expect(try await store.artifact(in: scope, key: keys[1]) == artifact)
        #expect(try await store.putArtifact(artifact, key: keys[2], in: scope) == artifact)
        #expect(try await store.artifact(in: scope, key: keys[2]) == artifact)
        #expect(try await store.artifact(owner: "ann", key: keys[2]) == nil)
        try await scene.deliver(copy, "right")
        try await scene.run()
        try await scene.copy(by: three, "right")
        try await scene.run()
        #expect(try await store.artifact(owner: scope.owner, key: keys[2]) == nil)
        #expect(try await store.artifact(owner: "ann", key: keys[0]) == nil)
        #expect(try await store.artifact(owner: "ann", key: keys[1]) == artifact)
    }

    @Test("what was decided is forgotten with the history")
    func retention() async throws {
        let scene = try await PictureAuditScene()
        let (one, two) = (try await scene.worker("one"), try await scene.worker("two"))
        _ = try await scene.delivered(by: one, "right")
        try await scene.run()
        try await scene.copy(by: two, "right")
        try await scene.run()
        try await scene.farm.pool.execute(
            "UPDATE picture_audit SET decided_at = now() - interval '100 d'"
        )
        #expect(try await scene.store.runRetention(RetentionPolicy()).audits == 1)
        #expect(try await scene.store.pictureAudits(limit: 1).isEmpty)
    }
}
