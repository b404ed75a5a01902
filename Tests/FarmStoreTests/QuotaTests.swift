import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// What bounds an owner's images at one time, and what makes room again.
@Suite(.database, .timeLimit(.minutes(10))) struct QuotaTests {
    private func quota(_ farm: Farm, images: Int?, owner: String = "ann") async throws {
        var change = AccountRequest()
        change.maxImages = images.map { .set($0) } ?? .remove
        try await farm.store.changeAccount(of: owner, change, by: "olga")
    }

    private func inFlight(_ farm: Farm) async throws -> Int {
        try #require(try await farm.store.accounts(of: "ann").first).imagesInFlight
    }

    @Test("an owner's images at one time are bounded, others' are not, and the reason says so")
    func images() async throws {
        let farm = try await Farm()
        try await quota(farm, images: 2)
        let job = try await farm.job(tasks: 4)
        let worker = try await farm.worker()
        let own = try await farm.claim(worker, limit: 4)
        #expect(own.map(\.job) == [job, job])
        #expect(try await inFlight(farm) == 2)
        #expect(try await farm.claim(worker).isEmpty)
        let why = try #require(try await farm.store.why(job: job)?.first)
        #expect(
            why.cause
                == .quota(QuotaShortage(owner: "ann", kind: .images, used: 2, most: 2))
        )
        #expect(try await farm.store.waitingCounts()[.quota] == 2)
        guard
            case .none(.notEligible(.quota, _)) = try await farm.store.claimTasks(
                worker: worker,
                limit: 1
            )
        else {
            Issue.record("the refusal does not name the quota")
            return
        }
        let bobs = try await farm.job(owner: "bob")
        #expect(try await farm.claim(worker, limit: 2).map(\.job) == [bobs])
        try await quota(farm, images: nil)
        #expect(try await farm.claim(worker, limit: 4).count == 2)
        #expect(try await farm.violations() == [])
    }

    /// What ends an attempt.
    enum End: CaseIterable { case delivery, release, failure, lapse, cancel, park }

    @Test("whatever ends an attempt makes room", arguments: End.allCases)
    func room(_ end: End) async throws {
        let farm = try await Farm()
        try await quota(farm, images: 1)
        try await farm.store.setLimit("nuke", count: 1, by: "olga")
        let first = try await farm.job { $0.requirement.limits = ["nuke"] }
        let second = try await farm.job { $0.requirement.limits = ["nuke"] }
        let worker = try await farm.worker()
        let task = try await farm.claimOne(worker)
        #expect(task.job == first)
        #expect(try await farm.claim(worker).isEmpty)
        switch end {
        case .delivery: _ = try await farm.deliver(task, final: AttemptTotals())
        case .release: _ = try await farm.store.releaseAttempt(task.fence)
        case .failure:
            let failure = AttemptFailure(failureClass: .transient, message: "the wind blew")
            _ = try await farm.store.failAttempt(task.fence, failure: failure)
        case .lapse:
            try await farm.lapseAll()
            #expect(try await farm.store.runExpiry().lapsed == 1)
        case .cancel: _ = try await farm.store.cancelJob(first, mode: .now, by: "ann")
        case .park: _ = try await farm.store.parkAttempt(task.fence, image: 0, step: 1)
        }
        farm.store.queueChanged()
        let next = try await farm.claimOne(worker)
        let isBack: Set<End> = [.release, .lapse, .park]
        #expect(next.job == (isBack.contains(end) ? first : second))
        #expect(try await inFlight(farm) == 1)
        #expect(try await farm.violations() == [])
    }

    @Test("a task of more images than the quota is rendered image by image")
    func wide() async throws {
        let farm = try await Farm()
        try await quota(farm, images: 2)
        let job = try await farm.job(tasks: 2, images: 3)
        let worker = try await farm.worker()
        for _ in 0..<6 {
            let tasks = try await farm.claim(worker, limit: 3)
            #expect(tasks.map(\.images.count).reduce(0, +) <= 2)
            let task = try #require(tasks.first)
            for other in tasks.dropFirst() { _ = try await farm.store.releaseAttempt(other.fence) }
            #expect(task.images.count == 1)
            _ = try await farm.deliver(task)
            _ = try await farm.store.completeAttempt(task.fence)
        }
        #expect(try await farm.state(job) == .succeeded)
        #expect(try await farm.violations() == [])
    }

    @Test("a chunk waits until the quota has room for all of it, and 0 stops everything")
    func chunk() async throws {
        let farm = try await Farm()
        try await quota(farm, images: 3)
        try await farm.job(tasks: 2, images: 2)
        let worker = try await farm.worker()
        let first = try await farm.claim(worker, limit: 2)
        #expect(first.map(\.images.count) == [2])
        #expect(try await farm.claim(worker).isEmpty)
        try await quota(farm, images: 0)
        _ = try await farm.store.releaseAttempt(first[0].fence)
        #expect(try await farm.claim(worker).isEmpty)
        try await quota(farm, images: 4)
        #expect(try await farm.claim(worker, limit: 2).count == 2)
    }

    @Test("uploads pass a quota of bytes at no time; what is measured counts results, too")
    func bytes() async throws {
        let farm = try await Farm()
        var change = AccountRequest()
        change.maxBlobBytes = .set(50)
        try await farm.store.changeAccount(of: "ann", change, by: "olga")
        let store = farm.store
        let stored = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<10 {
                group.addTask {
                    try await store.addHolder("ann", of: BlobDigest(ofText: "\(number)"), size: 10)
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(stored == 5)
        let digest = BlobDigest(ofText: "another")
        let shortage = try #require(try await store.shortage(for: digest, size: 1, of: "ann"))
        #expect(shortage.used == 50 && shortage.most == 50)
        #expect(try await store.shortage(for: digest, size: 1, of: "bob") == nil)
        change.maxBlobBytes = .set(55)
        try await store.changeAccount(of: "ann", change, by: "olga")
        let job = try await farm.job(tasks: 2)
        let worker = try await farm.worker()
        // a picture of 10 bytes is taken though 5 are left
        let task = try await farm.claimOne(worker)
        #expect(try await farm.deliver(task, final: AttemptTotals()) == .delivered(.succeeded))
        try await store.measureBlobs(of: "ann", keepingOutputs: nil)
        store.queueChanged()
        #expect(try await farm.claim(worker).isEmpty)
        let why = try #require(try await store.why(job: job)?.first)
        #expect(
            why.cause
                == .quota(QuotaShortage(owner: "ann", kind: .blobBytes, used: 60, most: 55))
        )
        try await store.measureBlobs(of: "ann", keepingOutputs: .seconds(0))
        #expect(try await store.accounts(of: "ann").first?.blobBytes == 60)
        change.maxBlobBytes = .remove
        try await store.changeAccount(of: "ann", change, by: "olga")
        _ = try await farm.claimOne(worker)
    }
}
