import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct RowsTests {
    @Test("a token's secret is found again until it is revoked or expires, and is not kept")
    func tokens() async throws {
        let farm = try await PlantedFarm()
        let token = try await farm.store.createToken(owner: "ann", role: .submitter, by: "root")
        #expect(token.secret.count == 4 + 64)
        #expect(
            try await farm.store.bearer(secret: token.secret)
                == Bearer(owner: "ann", role: .submitter)
        )
        #expect(try await farm.store.bearer(secret: token.secret + "0") == nil)
        #expect(
            try await farm.count(
                "SELECT count(*) AS value FROM token WHERE hash LIKE \("%\(token.secret)%")"
            ) == 0
        )
        let past = try await farm.store.createToken(
            owner: "bob",
            role: .admin,
            expiresAt: Date(timeIntervalSinceNow: -1),
            by: "root"
        )
        #expect(try await farm.store.bearer(secret: past.secret) == nil)
        #expect(try await farm.store.revokeToken(token.id, by: "root") == [])
        #expect(try await farm.store.revokeToken(token.id, by: "root") == nil)
        #expect(try await farm.store.bearer(secret: token.secret) == nil)
        let listed = try await farm.store.tokens()
        #expect(Set(listed.map(\.id)) == [token.id, past.id])
        #expect(listed.first { $0.id == token.id }?.revokedAt != nil)
        let trail = try await farm.store.auditTrail(limit: 10)
        #expect(trail.map(\.action) == ["token.revoked", "token.created", "token.created"])
        #expect(trail.allSatisfy { $0.actor == "root" })
    }

    @Test("a secret from elsewhere is one row however often it is added")
    func addedToken() async throws {
        let farm = try await PlantedFarm()
        let first = try await farm.store.addToken(
            secret: "from a file",
            owner: "admin",
            role: .admin,
            by: "farm"
        )
        let second = try await farm.store.addToken(
            secret: "from a file",
            owner: "admin",
            role: .admin,
            by: "farm"
        )
        #expect(first == second)
        #expect(try await farm.store.bearer(secret: "from a file")?.role == .admin)
    }

    @Test("an owner's charge halves in an hour, and its weight is set")
    func accounts() async throws {
        let farm = try await PlantedFarm()
        try await farm.store.changeAccount(of: "ann", AccountRequest(weight: 3), by: "root")
        try await farm.pool.execute(
            """
            INSERT INTO account_usage (owner, slot, charge, charged_at)
            VALUES ('ann', 0, 8, now() - interval '1 h'), ('ann', 1, 8, now() - interval '2 h')
            """
        )
        let account = try #require(try await farm.store.accounts().first)
        #expect(account.weight == 3)
        #expect(abs(account.charge - 6) < 0.01)
        await #expect(throws: DatabaseError.self) {
            try await farm.store.changeAccount(of: "ann", AccountRequest(weight: 0), by: "root")
        }
    }

    @Test("pools and the farm are paused and resumed, by name")
    func pauses() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register { $0.pool = "day" }
        let job = try await farm.job()
        _ = try await farm.claim(worker.id, of: job)
        let owl = try await farm.register {
            $0.name = "owl"
            $0.pool = "night"
        }
        _ = try await farm.store.leaveWorker(owl.id, epoch: owl.epoch)
        for (pool, isPaused) in [("day", true), ("night", true), ("night", false)] {
            #expect(try await farm.store.setPoolPaused(pool, isPaused, by: "root"))
        }
        #expect(try await !farm.store.setPoolPaused("nigth", true, by: "root"))
        let pools = try await farm.store.pools()
        #expect(pools.map(\.name) == ["day", "night"])
        #expect(pools.map(\.isPaused) == [true, false])
        #expect(pools.map(\.workers) == [1, 1])
        #expect(pools.map(\.leases) == [1, 0])
        try await farm.store.setFarmPaused(true, by: "root")
        #expect(try await farm.store.farmRecord().isPaused)
        try await farm.store.setFarmPaused(false, by: "root")
        #expect(try await !farm.store.farmRecord().isPaused)
    }

    @Test("the first blob store's id stands")
    func blobStore() async throws {
        let farm = try await PlantedFarm()
        #expect(try await farm.store.farmRecord().blobStoreID == nil)
        #expect(try await farm.store.recordBlobStoreID("one") == "one")
        #expect(try await farm.store.recordBlobStoreID("two") == "one")
    }

    @Test("an artifact is its owner's, the first of a key stands, and its use is noted")
    func artifacts() async throws {
        let farm = try await PlantedFarm()
        let key = ArtifactKey(.prompt, determinants: "a")
        let first = ArtifactRecord(digest: "first", size: 1)
        let second = ArtifactRecord(digest: "second", size: 2)
        #expect(try await farm.store.artifact(owner: "ann", key: key) == nil)
        let fence = try await farm.claim(try await farm.register().id, of: try await farm.job())
        let scope = try #require(try await farm.store.artifactScope(of: fence))
        #expect(try await farm.store.putArtifact(first, key: key, in: scope) == first)
        #expect(try await farm.store.putArtifact(second, key: key, in: scope) == first)
        // Nothing is kept of an attempt whose lease has ended while its bytes came.
        #expect(try await farm.store.releaseAttempt(fence) == .done(.ready))
        let late = ArtifactKey(.prompt, determinants: "b")
        #expect(try await farm.store.putArtifact(second, key: late, in: scope) == nil)
        #expect(try await farm.store.artifact(owner: "ann", key: late) == nil)
        #expect(try await farm.store.artifact(owner: "bob", key: key) == nil)
        try await farm.pool.execute("UPDATE artifact SET used_at = now() - interval '2 h'")
        #expect(try await farm.store.artifact(owner: "ann", key: key) == first)
        #expect(
            try await farm.count(
                """
                SELECT count(*) AS value FROM artifact WHERE used_at > now() - interval '1 min'
                """
            ) == 1
        )
    }

    @Test("a checkpoint is kept under a current lease, the furthest of an attempt")
    func checkpoints() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(images: 2)
        let fence = try await farm.claim(worker.id, of: job)
        func checkpoint(_ index: Int, _ step: Int) -> CheckpointRecord {
            CheckpointRecord(
                imageIndex: index,
                digest: "d\(step)",
                size: 1,
                step: step,
                numericClass: "c"
            )
        }
        #expect(try await farm.store.putCheckpoint(fence, checkpoint(0, 4)))
        #expect(try await farm.store.putCheckpoint(fence, checkpoint(0, 3)))
        #expect(try await farm.store.putCheckpoint(fence, checkpoint(1, 1)))
        #expect(
            try await farm.store.checkpoints(of: fence.task) == [
                checkpoint(0, 4), checkpoint(1, 1),
            ]
        )
        try await farm.pool.execute("UPDATE image SET state = 'delivered' WHERE index = 0")
        #expect(try await farm.store.checkpoints(of: fence.task) == [checkpoint(1, 1)])
        var stale = fence
        stale.epoch += 1
        #expect(try await !farm.store.putCheckpoint(stale, checkpoint(1, 9)))
        #expect(try await farm.store.checkpoints(of: fence.task) == [checkpoint(1, 1)])
        #expect(try await farm.store.artifactScope(of: fence)?.owner == "ann")
        #expect(try await farm.store.artifactScope(of: stale) == nil)
    }

    @Test("a log line that is sent twice is kept once, and only from the attempt's worker")
    func logs() async throws {
        let farm = try await PlantedFarm()
        let (worker, other) = (try await farm.register("a"), try await farm.register("b"))
        let job = try await farm.job()
        let fence = try await farm.claim(worker.id, of: job)
        let lines = (0..<3).map {
            LogLine(
                attempt: fence.attempt,
                number: $0,
                at: Date(timeIntervalSince1970: Double(1000 + $0)),
                level: .info,
                text: "line \($0)"
            )
        }
        #expect(try await farm.store.appendLog(worker: worker.id, Array(lines[..<2])) == 2)
        #expect(try await farm.store.appendLog(worker: worker.id, lines) == 1)
        #expect(try await farm.store.appendLog(worker: other.id, lines) == 0)
        #expect(try await farm.store.log(of: fence.task, limit: 10) == lines)
        #expect(try await farm.store.log(of: fence.task, offset: 1, limit: 1) == [lines[1]])
    }

    @Test("a blob is named by jobs, outputs, artifacts, checkpoints and model files")
    func blobs() async throws {
        let farm = try await PlantedFarm()
        let names = ["job", "output", "artifact", "checkpoint", "model", "nothing"]
        let digests = names.map { BlobDigest(ofText: $0) }
        let job = try await farm.job()
        try await farm.pool.execute(
            "INSERT INTO job_blob (job_id, digest) VALUES (\(job), \(digests[0].rawValue))"
        )
        try await farm.pool.execute(
            """
            INSERT INTO output (image_id, job_id, digest, size, attempt_id)
            VALUES (gen_random_uuid(), \(job), \(digests[1].rawValue), 1, gen_random_uuid())
            """
        )
        let fence = try await farm.claim(try await farm.register().id, of: job)
        let scope = try #require(try await farm.store.artifactScope(of: fence))
        _ = try await farm.store.putArtifact(
            ArtifactRecord(digest: digests[2].rawValue, size: 1),
            key: ArtifactKey(.prompt, determinants: "a"),
            in: scope
        )
        _ = try await farm.store.putCheckpoint(
            fence,
            CheckpointRecord(
                imageIndex: 0,
                digest: digests[3].rawValue,
                size: 1,
                step: 1,
                numericClass: ""
            )
        )
        _ = try await farm.store.addModel(
            name: "m",
            digest: "d",
            files: [ModelFile(path: "f", digest: digests[4], size: 1)],
            by: "root"
        )
        #expect(try await farm.store.unreferenced(among: digests) == [digests[5]])
        #expect(try await farm.store.isReferenced(digests[3]))
        #expect(try await !farm.store.isReferenced(digests[5]))
        // A picture counts while its job runs, and for as long after as pictures are kept; a
        // checkpoint goes with its job.
        func loose(keeping hours: Int) async throws -> [String] {
            let loose = try await farm.store.unreferenced(
                among: digests,
                keepingOutputs: .seconds(3600 * hours)
            )
            return zip(names, digests).filter { loose.contains($1) }.map(\.0)
        }
        #expect(try await loose(keeping: 0) == ["nothing"])
        _ = try await farm.store.cancelJob(job, by: "root")
        try await farm.pool.execute("UPDATE job SET finished_at = now() - interval '2 h'")
        #expect(try await loose(keeping: 3) == ["checkpoint", "nothing"])
        #expect(try await loose(keeping: 1) == ["output", "checkpoint", "nothing"])
    }

    @Test("gauges count tasks and workers by state")
    func gauges() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(tasks: 3)
        try await farm.job(tasks: 2, blockedBy: "job_paused")
        let over = try await farm.job(tasks: 4)
        _ = try await farm.claim(worker.id, of: job)
        _ = try await farm.store.cancelJob(over, by: "root")
        let gauges = try await farm.store.gauges()
        #expect(
            gauges.tasks
                == [
                    .ready: 2, .leased: 1, .blocked: 2, .drafted: 0, .cancelled: 4, .failed: 0,
                    .succeeded: 0,
                ]
        )
        #expect(gauges.workers[.starting] == 1)
        #expect(gauges.workers.count == WorkerState.allCases.count)
        #expect(gauges.groups.count == GroupState.allCases.count)
        #expect(gauges.groups.values.allSatisfy { $0 == 0 })
        #expect(Set(gauges.tables.keys) == ["ready", "resting", "lease", "account_usage"])
    }
}
