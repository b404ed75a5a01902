import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct BlobRouteTests {
    @Test("a blob is missing until it is put, and its digest is checked")
    func blobs() async throws {
        try await TestFarm.withAPI { farm in
            let data = Data("picture".utf8)
            let digest = BlobDigest(of: data)
            let list = BlobList(digests: [digest])
            let absent: BlobList = try await farm.call(.post, "/v1/blobs/missing", list)
            #expect(absent == list)
            let other = BlobDigest(ofText: "other")
            let wrong = try await farm.send(.put, "/v1/blobs/\(other)", data)
            #expect(wrong.status == .unprocessableContent)
            #expect(try await farm.send(.head, "/v1/blobs/\(digest)").status == .notFound)
            #expect(try await farm.send(.put, "/v1/blobs/\(digest)", data).status == .created)
            let head = try await farm.send(.head, "/v1/blobs/\(digest)")
            #expect(head.status == .ok)
            #expect(head.headers[.contentLength] == "7")
            let read = try await farm.send(.get, "/v1/blobs/\(digest)")
            #expect(Data(read.body.readableBytesView) == data)
            let missing: BlobList = try await farm.call(.post, "/v1/blobs/missing", list)
            #expect(missing.digests.isEmpty)
        }
    }

    @Test("a blob of another owner is as if it were not there, until its bytes are shown")
    func owners() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .submitter)
            let picture = try TestFarm.picture()
            let digest = BlobDigest(of: picture)
            let route = "/v1/blobs/\(digest)"
            let list = BlobList(digests: [digest])
            let job = """
                parameters:
                  prompt: "[ref#1]"
                  references: [[{image: a.png, task: ip, sha256: \(digest)}]]
                """
            func missing(_ token: String) async throws -> [BlobDigest] {
                try await farm.call(
                    .post,
                    "/v1/blobs/missing",
                    list,
                    token: token,
                    as: BlobList.self
                )
                .digests
            }
            let absent = try await farm.send(.get, route, as: bob)
            #expect(try await farm.send(.put, route, picture, as: alice).status == .created)
            #expect(try await missing(alice).isEmpty)
            #expect(try await farm.send(.get, route, as: alice).status == .ok)
            #expect(try await farm.submit(job, token: alice).images.total == 1)

            #expect(try await missing(bob) == [digest])
            let hidden = try await farm.send(.get, route, as: bob)
            #expect(hidden.status == .notFound)
            #expect(hidden.body == absent.body)
            #expect(try await farm.send(.head, route, as: bob).status == .notFound)
            let problem = try await farm.problem(
                .post,
                "/v1/jobs",
                farm.document(job),
                token: bob
            )
            #expect(problem == .missingBlobs)

            #expect(try await farm.send(.put, route, picture, as: bob).status == .created)
            #expect(try await missing(bob).isEmpty)
            #expect(try await farm.send(.get, route, as: bob).status == .ok)
            #expect(try await farm.submit(job, token: bob).images.total == 1)
        }
    }

    @Test("an owner reads the pictures of its own jobs by their digests, and no other one's")
    func pictures() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .submitter)
            _ = try await farm.submit("parameters: {prompt: a}", token: alice)
            let task = try await farm.task(worker.id)
            let picture = try TestFarm.picture()
            _ = try await farm.deliver(task, task.images[0].index, picture, isFinal: true)
            let route = "/v1/blobs/\(BlobDigest(of: picture))"
            #expect(try await farm.send(.get, route, as: alice).status == .ok)
            #expect(try await farm.send(.get, route, as: bob).status == .notFound)
        }
    }

    @Test("what an operator sends is its owner's, whatever the owner's other tokens may")
    func roles() async throws {
        try await TestFarm.withAPI { farm in
            let sender = try await farm.token("alice", .operator)
            let reader = try await farm.token("alice", .viewer)
            let data = Data("picture".utf8)
            let route = "/v1/blobs/\(BlobDigest(of: data))"
            #expect(try await farm.send(.put, route, data, as: sender).status == .created)
            #expect(try await farm.send(.get, route, as: reader).status == .ok)
        }
    }

    @Test("who had a blob that was removed does not learn that another has sent it again")
    func removed() async throws {
        try await TestFarm.withAPI { farm in
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .submitter)
            let data = Data("picture".utf8)
            let digest = BlobDigest(of: data)
            let route = "/v1/blobs/\(digest)"
            #expect(try await farm.send(.put, route, data, as: alice).status == .created)
            try await farm.blobs.remove(digest)
            #expect(try await farm.send(.put, route, data, as: bob).status == .created)
            #expect(try await farm.send(.get, route, as: alice).status == .notFound)
            #expect(try await farm.send(.get, route, as: bob).status == .ok)
        }
    }

    @Test("a damaged blob is named, and there again once it is uploaded again")
    func damage() async throws {
        try await TestFarm.withAPI { farm in
            let data = Data("a checkpoint".utf8)
            let digest = BlobDigest(of: data)
            let route = "/v1/blobs/\(digest)"
            _ = try await farm.send(.put, route, data)
            let name = digest.rawValue
            let folder = "\(farm.blobs.folder)/\(name.prefix(2))"
            try Data("a Checkpoint".utf8).write(to: URL(filePath: "\(folder)/\(name)"))
            let refused = try await farm.send(.get, route)
            #expect(refused.status == .notFound)
            #expect(String(buffer: refused.body).contains("the blob \(digest) is damaged"))
            _ = try await farm.send(.put, route, data)
            #expect(try await farm.send(.get, route).status == .ok)
        }
    }

    @Test("a part of a blob is answered as such, and one behind its end refused")
    func range() async throws {
        try await TestFarm.withAPI { farm in
            let data = Data("0123456789".utf8)
            let path = "/v1/blobs/\(BlobDigest(of: data))"
            _ = try await farm.send(.put, path, data)
            var headers: HTTPFields = [.authorization: "Bearer \(TestFarm.admin)"]
            headers[.range] = "bytes=3-5"
            let part = try await farm.send(.get, path, headers: headers)
            #expect(part.status == .partialContent)
            #expect(part.headers[.contentRange] == "bytes 3-5/10")
            #expect(String(buffer: part.body) == "345")
            headers[.range] = "bytes=10-"
            let behind = try await farm.send(.get, path, headers: headers)
            #expect(behind.status == .rangeNotSatisfiable)
            headers[.range] = "bytes=3-5"
            headers[.ifRange] = "\"another\""
            let whole = try await farm.send(.get, path, headers: headers)
            #expect(whole.status == .ok)
            #expect(String(buffer: whole.body) == "0123456789")
            headers = [
                .authorization: "Bearer \(TestFarm.admin)",
                .ifNoneMatch: try #require(whole.headers[.eTag]),
            ]
            let known = try await farm.send(.get, path, headers: headers)
            #expect(known.status == .notModified)
        }
    }

    @Test("below the reserve uploads are refused and claims told why")
    func reserve() async throws {
        var settings = CoordinatorAPISettings()
        settings.blobReserve = 1.1
        try await TestFarm.withAPI(settings: settings) { farm in
            let data = Data("picture".utf8)
            let refused = try await farm.send(.put, "/v1/blobs/\(BlobDigest(of: data))", data)
            #expect(refused.status.code == 507)
            #expect(refused.headers[.retryAfter] != nil)
            let worker = try await farm.register()
            let answer = try await farm.claim(worker.id, wait: 20)
            #expect(answer.reason == .blobStoreFull)
            #expect(answer.detail?.contains("%") == true)
            #expect(answer.retryAfterSeconds != nil)
        }
    }

    @Test("a sweep keeps what is young, whatever names it")
    func sweep() async throws {
        try await TestFarm.withAPI { farm in
            let data = Data("loose".utf8)
            _ = try await farm.send(.put, "/v1/blobs/\(BlobDigest(of: data))", data)
            let view: BlobSweepView = try await farm.call(.post, "/v1/blobs/sweep?dry_run=true")
            #expect(view.isDryRun)
            #expect(view.removed == 0)
            #expect(view.kept == 1)
            #expect(view.keptBytes == 5)
        }
    }

    @Test("a sweep removes what nothing names, and keeps what a job names")
    func sweepOfOld() async throws {
        try await TestFarm.withAPI { farm in
            let (loose, named) = (Data("loose".utf8), Data("named".utf8))
            for data in [loose, named] {
                try await farm.blobs.store(data)
                try await farm.store.addHolder(
                    "alice",
                    of: BlobDigest(of: data),
                    size: Int64(data.count)
                )
            }
            let pool = try TestDatabase.pool()
            _ = try await farm.register()
            let job = try await farm.submit("parameters: {prompt: a}")
            try await pool.execute(
                """
                INSERT INTO job_blob (job_id, digest)
                VALUES (\(job.id.rawValue), \(BlobDigest(of: named).rawValue))
                """
            )
            var sweep = farm.api.sweep
            // A file's time may be some milliseconds behind the clock's.
            sweep.grace = .seconds(-10)
            #expect(try await sweep.run(isDryRun: true)?.sample == [BlobDigest(of: loose)])
            #expect(try await farm.blobs.contains(BlobDigest(of: loose)))
            let view = try #require(await sweep.run())
            #expect(view.removed == 1 && view.removedBytes == 5)
            #expect(view.kept == 1 && view.keptBytes == 5)
            #expect(try await !farm.blobs.contains(BlobDigest(of: loose)))
            #expect(try await farm.blobs.contains(BlobDigest(of: named)))
            let digests = [loose, named].map(BlobDigest.init(of:))
            let held = try await farm.store.held(by: "alice", among: digests)
            #expect(held == [BlobDigest(of: named)])
        }
    }

    @Test("a sweep by a clock that is days ahead spares a picture whose row is on its way")
    func sweepByWrongClock() async throws {
        try await TestFarm.withAPI { farm in
            let pool = try TestDatabase.pool()
            _ = try await farm.register()
            let job = try await farm.submit("parameters: {prompt: a}")
            let picture = try await farm.blobs.store(Data("picture".utf8)).digest
            let loose = try await farm.blobs.store(Data("loose".utf8)).digest
            var sweep = farm.api.sweep
            sweep.grace = .seconds(-2 * 86_400)
            sweep.settle = {
                _ = try await pool.execute(
                    """
                    INSERT INTO job_blob (job_id, digest)
                    VALUES (\(job.id.rawValue), \(picture.rawValue))
                    """
                )
            }
            let view = try #require(await sweep.run())
            #expect(view.removed == 1 && view.kept == 1)
            #expect(try await farm.blobs.contains(picture))
            #expect(try await !farm.blobs.contains(loose))
        }
    }

    @Test("a sweep by a clock that is days ahead spares what was refreshed since its first look")
    func sweepOfRefreshed() async throws {
        try await TestFarm.withAPI { farm in
            let blobs = farm.blobs
            let picture = try await blobs.store(Data("picture".utf8)).digest
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -60)],
                ofItemAtPath: "\(blobs.folder)/\(picture.rawValue.prefix(2))/\(picture)"
            )
            var sweep = farm.api.sweep
            sweep.grace = .seconds(-2 * 86_400)
            sweep.settle = { _ = try await blobs.refresh(picture) }
            #expect(try await sweep.run()?.removed == 0)
            #expect(try await blobs.contains(picture))
        }
    }

    @Test("a sweep holds up no backup and no other sweep between its looks")
    func sweepBesideSweep() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.blobs.store(Data("loose".utf8))
            var other = farm.api.sweep
            other.grace = .seconds(-2 * 86_400)
            other.settle = {}
            var sweep = other
            sweep.settle = { [other] in
                let isFree = try await farm.store.withBlobsHeld { true }
                #expect(isFree == true)
                let view = try await other.run()
                #expect(view?.removed == 1)
            }
            let view = try #require(await sweep.run())
            #expect(view.removed == 0 && view.kept == 0)
            let refused = try await farm.store.withBlobsHeld { [other] in
                try await other.run() == nil
            }
            #expect(refused == true)
        }
    }

    @Test("a sweep spares what a job was accepted with after it was judged")
    func sweepBesideSubmission() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let picture = try TestFarm.picture()
            let digest = try await farm.blobs.store(picture).digest
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -2 * 86_400)],
                ofItemAtPath: "\(farm.blobs.folder)/\(digest.rawValue.prefix(2))/\(digest)"
            )
            let blobs = JudgedBlobs(blobs: farm.blobs) {
                let job = try await farm.submit(
                    """
                    parameters:
                      prompt: "[ref#1]"
                      references: [[{image: a.png, task: ip, sha256: \(digest)}]]
                    """
                )
                #expect(job.images.total == 1)
            }
            let view = try #require(await BlobSweep(store: farm.store, blobs: blobs).run())
            #expect(view.removed == 0 && view.kept == 1)
            #expect(try await farm.blobs.read(digest) == picture)
        }
    }
}

/// A store in which something happens between the judgement of a blob and its removal.
private struct JudgedBlobs: BlobStorage {
    let blobs: FolderBlobStore
    let onRemoval: @Sendable () async throws -> Void

    func remove(_ digest: BlobDigest, storedBefore moment: Date) async throws -> Bool {
        try await onRemoval()
        return try await blobs.remove(digest, storedBefore: moment)
    }

    func remove(_ digest: BlobDigest) async throws { try await blobs.remove(digest) }

    var location: String { blobs.location }

    func size(of digest: BlobDigest) async throws -> Int64? { try await blobs.size(of: digest) }

    func open(_ digest: BlobDigest, range: Range<Int64>?) async throws -> BlobContent {
        try await blobs.open(digest, range: range)
    }

    func makeWriter(expecting expected: BlobDigest?) async throws -> any BlobWriter {
        try await blobs.makeWriter(expecting: expected)
    }

    func refresh(_ digest: BlobDigest) async throws -> Bool { try await blobs.refresh(digest) }

    func entries() -> AsyncThrowingStream<BlobEntry, any Error> { blobs.entries() }

    func removeAbandoned(olderThan age: Duration) async throws -> Int {
        try await blobs.removeAbandoned(olderThan: age)
    }

    func identifier() async throws -> String? { try await blobs.identifier() }

    func establishIdentifier(_ proposed: String) async throws -> String {
        try await blobs.establishIdentifier(proposed)
    }

    func freeSpace() async throws -> FreeSpace? { try await blobs.freeSpace() }
}
