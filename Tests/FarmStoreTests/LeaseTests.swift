import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(2))) struct LeaseTests {
    @Test("twenty claimers claim two hundred tasks, each once")
    func concurrentClaims() async throws {
        let farm = try await Farm()
        let job = try await farm.job(images: 200)
        let claimed = try await withThrowingTaskGroup { group in
            for number in 0..<20 {
                group.addTask {
                    let worker = try await farm.worker("w\(number)")
                    var tasks: [ClaimedTask] = []
                    while case let more = try await farm.claim(worker, limit: 3), !more.isEmpty {
                        tasks += more
                    }
                    return tasks
                }
            }
            return try await group.reduce(into: [ClaimedTask]()) { $0 += $1 }
        }
        #expect(claimed.count == 200)
        #expect(Set(claimed.map(\.fence.task)).count == 200)
        #expect(Set(claimed.flatMap(\.images).map(\.index)) == Set(0..<200))
        #expect(try await farm.state(job) == .running)
    }

    @Test("a job goes from pending over running to succeeded, image by image")
    func wholeWay() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 2) { $0.imagesPerTask = 2 }
        let worker = try await farm.worker()
        let task = try await farm.claimOne(worker)
        #expect(task.images.map(\.name) == ["0.png", "1.png"])
        #expect(try await farm.state(id) == .running)
        #expect(try await farm.deliver(task, index: 0) == .delivered)
        #expect(try await farm.store.completeAttempt(task.fence) == .incomplete(undelivered: 1))
        #expect(try await farm.deliver(task, index: 7) == .unknownImage)
        #expect(try await farm.deliver(task, index: 1) == .delivered)
        #expect(try await farm.store.completeAttempt(task.fence) == .done(.succeeded))
        #expect(try await farm.store.completeAttempt(task.fence) == .done(.succeeded))
        let job = try #require(try await farm.store.job(id))
        #expect(job.state == .succeeded)
        #expect(job.finishedAt != nil)
        #expect(job.images.delivered == 2)
        let attempt = try #require(try await farm.store.attempt(task.fence.attempt))
        #expect(attempt.fence == task.fence)
        #expect(attempt.outcome == "succeeded")
    }

    @Test("a repeated delivery is answered and changes nothing")
    func doubleDelivery() async throws {
        let farm = try await Farm()
        let id = try await farm.job()
        let task = try await farm.claimOne(try await farm.worker())
        #expect(try await farm.deliver(task) == .delivered)
        let before = try await farm.imageState(id)
        let again = try await farm.store.deliverImage(
            task.fence,
            imageIndex: 0,
            output: DeliveredOutput(digest: "other", size: 99)
        )
        #expect(again == .alreadyDelivered(digest: "output-0"))
        #expect(try await farm.imageState(id) == before)
        #expect(before.outputDigest == "output-0")
    }

    @Test("a lapsed lease returns its task, and the stale worker can write nothing")
    func lapse() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 2) { $0.imagesPerTask = 2 }
        let (first, second) = (try await farm.worker("a"), try await farm.worker("b"))
        let stale = try await farm.claimOne(first)
        #expect(try await farm.deliver(stale, index: 0) == .delivered)
        try await farm.lapseAll()
        #expect(try await farm.store.expireLapsedLeases().lapsed == 1)
        #expect(try await farm.deliver(stale, index: 1) == .stale)

        let current = try await farm.claimOne(second)
        #expect(current.fence.task == stale.fence.task)
        #expect(current.fence.epoch == stale.fence.epoch + 1)
        #expect(current.images.map(\.index) == [1])
        #expect(try await farm.deliver(stale, index: 1) == .stale)
        #expect(try await farm.store.completeAttempt(stale.fence) == .stale)
        #expect(
            try await farm.store.failAttempt(
                stale.fence,
                failure: AttemptFailure(failureClass: .deterministic, message: "no")
            ) == .stale
        )
        #expect(try await farm.store.releaseAttempt(stale.fence) == .stale)
        #expect(
            try await farm.store.heartbeat(worker: first, attempts: [stale.fence])
                == .answer(extended: [], cancel: [stale.fence])
        )
        #expect(try await farm.deliver(stale, index: 0) == .alreadyDelivered(digest: "output-0"))
        #expect(try await farm.deliver(current, index: 1) == .delivered)
        #expect(try await farm.store.completeAttempt(current.fence) == .done(.succeeded))
        #expect(try await farm.state(id) == .succeeded)
    }

    @Test("a lease that lapses after its last delivery is a success")
    func lapseAfterDelivery() async throws {
        let farm = try await Farm()
        let id = try await farm.job()
        let task = try await farm.claimOne(try await farm.worker())
        #expect(try await farm.deliver(task) == .delivered)
        try await farm.lapseAll()
        #expect(try await farm.store.expireLapsedLeases().lapsed == 1)
        #expect(try await farm.state(id) == .succeeded)
    }

    @Test("a heartbeat keeps a lease from lapsing")
    func heartbeat() async throws {
        let farm = try await Farm()
        try await farm.job()
        let worker = try await farm.worker()
        let task = try await farm.claimOne(worker)
        try await farm.lapseAll()
        #expect(
            try await farm.store.heartbeat(worker: worker, attempts: [task.fence])
                == .answer(extended: [task.fence], cancel: [])
        )
        #expect(try await farm.store.expireLapsedLeases().lapsed == 0)
        #expect(
            try await farm.store.heartbeat(worker: WorkerID.random(), attempts: [])
                == .unknownWorker
        )
    }

    @Test("after a gap of the duty leases are extended, and lapse only later")
    func outage() async throws {
        let farm = try await Farm()
        try await farm.job()
        let task = try await farm.claimOne(try await farm.worker())
        _ = try await farm.store.expireLapsedLeases()
        try await farm.pool.execute(
            """
            WITH away AS (UPDATE duty SET last_run_at = now() - interval '1 h')
            UPDATE task SET lease_deadline = now() - interval '50 min'
            """
        )
        let afterGap = try await farm.store.expireLapsedLeases()
        #expect(afterGap.extendedAfterGap == 1)
        #expect(afterGap.lapsed == 0)
        #expect(try await farm.deliver(task) == .delivered)
        try await farm.lapseAll()
        #expect(try await farm.store.expireLapsedLeases().lapsed == 1)
    }

    @Test("a task whose leases lapse three times is poison and fails its job")
    func poisonByLapses() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 1) { $0.maxAttempts = 9 }
        let worker = try await farm.worker()
        for round in 1...3 {
            _ = try await farm.claimOne(worker)
            try await farm.lapseAll()
            let report = try await farm.store.expireLapsedLeases()
            #expect(report.lapsed == 1)
            #expect(report.poisoned == (round == 3 ? 1 : 0))
        }
        #expect(try await farm.state(id) == .failed)
        let image = try await farm.imageState(id)
        #expect(image.state == .failed)
        #expect(
            image.failure?.message.hasPrefix("poison: given up after 3 failed attempts") == true
        )
    }

    @Test("a transient failure is tried again after back-off until its attempts are used up")
    func transientFailures() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 1) { $0.maxAttempts = 2 }
        let worker = try await farm.worker()
        let failure = AttemptFailure(failureClass: .transient, message: "the wind blew")
        let first = try await farm.claimOne(worker)
        #expect(try await farm.store.failAttempt(first.fence, failure: failure) == .done(.ready))
        #expect(try await farm.store.failAttempt(first.fence, failure: failure) == .done(.ready))
        #expect(try await farm.claim(worker).isEmpty)
        try await farm.endBackoff()
        let second = try await farm.claimOne(worker)
        #expect(try await farm.store.failAttempt(second.fence, failure: failure) == .done(.failed))
        #expect(try await farm.state(id) == .failed)
        let image = try await farm.imageState(id)
        #expect(image.failure?.message.hasSuffix("the last: the wind blew") == true)
    }

    @Test("a deterministic failure is final, a resource failure and a release count nothing")
    func otherEnds() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 1) { $0.maxAttempts = 1 }
        let worker = try await farm.worker()
        let short = AttemptFailure(failureClass: .resource, message: "no memory")
        let wrong = AttemptFailure(failureClass: .deterministic, message: "no such slot")
        let first = try await farm.claimOne(worker)
        #expect(try await farm.store.failAttempt(first.fence, failure: short) == .done(.ready))
        try await farm.endBackoff()
        let second = try await farm.claimOne(worker)
        #expect(try await farm.store.releaseAttempt(second.fence) == .done(.ready))
        let third = try await farm.claimOne(worker)
        #expect(try await farm.store.failAttempt(third.fence, failure: wrong) == .done(.failed))
        let image = try await farm.imageState(id)
        #expect(image.failure == FailureView(failureClass: .deterministic, message: "no such slot"))
        #expect(try await farm.state(id) == .failed)
    }

    @Test("a worker gets tasks of its model and precision, by priority and then by age")
    func eligibility() async throws {
        let farm = try await Farm()
        let old = try await farm.job()
        let urgent = try await farm.job { $0.priority = 90 }
        try await farm.job { $0.modelDigest = "another" }
        try await farm.job { $0.precision = "int8" }
        let worker = try await farm.worker()
        let order = try await farm.claim(worker, limit: 10).map(\.job)
        #expect(order == [urgent, old])
        #expect(
            try await farm.store.claimTasks(worker: WorkerID.random(), limit: 1) == .unknownWorker
        )
    }

    @Test("a model keeps the name of its first worker, and a taken name is told apart")
    func models() async throws {
        let farm = try await Farm()
        func register(_ name: String, _ digest: String) async throws -> String {
            try await farm.store.registerWorker(
                WorkerRegistration(
                    name: "w",
                    modelName: name,
                    modelDigest: digest,
                    precision: "float32"
                )
            ).modelName
        }
        #expect(try await register("flux", "0123456789") == "flux")
        #expect(try await register("other", "0123456789") == "flux")
        #expect(try await register("flux", "abcdefghij") == "flux-abcdefgh")
        #expect(try await farm.store.models().map(\.name) == ["flux", "flux-abcdefgh"])
        #expect(try await farm.store.model(named: "flux")?.digest == "0123456789")
    }

    @Test("a silent worker is lost, and is back with its next heartbeat")
    func lostWorker() async throws {
        let farm = try await Farm()
        let worker = try await farm.worker()
        try await farm.pool.execute("UPDATE worker SET last_seen_at = now() - interval '1 h'")
        #expect(try await farm.store.expireLapsedLeases().lostWorkers == 1)
        #expect(try await farm.store.workers().isEmpty)
        _ = try await farm.store.heartbeat(worker: worker, attempts: [])
        #expect(try await farm.store.workers().map(\.state) == [.idle])
    }
}
