import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct LeaseTests {
    @Test("twenty claimers claim two hundred tasks, each once")
    func concurrentClaims() async throws {
        let farm = try await Farm()
        let job = try await farm.job(tasks: 200)
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
        let id = try await farm.job(images: 2)
        let worker = try await farm.worker()
        let task = try await farm.claimOne(worker)
        #expect(task.images.map(\.index) == [0, 1])
        #expect(try await farm.state(id) == .running)
        #expect(try await farm.deliver(task, index: 0) == .delivered(nil))
        #expect(try await farm.store.completeAttempt(task.fence) == .incomplete(undelivered: 1))
        #expect(try await farm.deliver(task, index: 7) == .unknownImage)
        #expect(try await farm.deliver(task, index: 1) == .delivered(nil))
        #expect(try await farm.store.completeAttempt(task.fence) == .done(.succeeded))
        #expect(try await farm.store.completeAttempt(task.fence) == .done(.succeeded))
        let job = try #require(try await farm.store.job(id))
        #expect(job.state == .succeeded)
        #expect(job.finishedAt != nil)
        #expect(job.images.delivered == 2)
        let attempt = try #require(try await farm.store.attempts(of: task.fence.task).last)
        #expect(attempt.fence == task.fence)
        #expect(attempt.outcome == "succeeded")
    }

    @Test("a repeated delivery is answered and changes nothing")
    func doubleDelivery() async throws {
        let farm = try await Farm()
        let id = try await farm.job()
        let task = try await farm.claimOne(try await farm.worker())
        #expect(try await farm.deliver(task) == .delivered(nil))
        let before = try await farm.imageState(id)
        let again = try await farm.store.deliverImage(
            task.fence,
            imageIndex: 0,
            output: DeliveredOutput(digest: "other", size: 99)
        )
        #expect(again == .alreadyDelivered(digest: "output-0"))
        #expect(try await farm.imageState(id) == before)
        #expect(before.output?.digest == "output-0")
    }

    @Test("a lapsed lease returns its task, and the stale worker can write nothing")
    func lapse() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 2)
        let (first, second) = (try await farm.worker("a"), try await farm.worker("b"))
        let stale = try await farm.claimOne(first)
        #expect(try await farm.deliver(stale, index: 0) == .delivered(nil))
        try await farm.lapseAll()
        #expect(try await farm.store.runExpiry().lapsed == 1)
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
        #expect(try await farm.deliver(stale, index: 0) == .alreadyDelivered(digest: "output-0"))
        #expect(try await farm.deliver(current, index: 1) == .delivered(nil))
        #expect(try await farm.store.completeAttempt(current.fence) == .done(.succeeded))
        #expect(try await farm.state(id) == .succeeded)
    }

    @Test("a lease that lapses after its last delivery is a success")
    func lapseAfterDelivery() async throws {
        let farm = try await Farm()
        let id = try await farm.job()
        let task = try await farm.claimOne(try await farm.worker())
        #expect(try await farm.deliver(task) == .delivered(nil))
        try await farm.lapseAll()
        #expect(try await farm.store.runExpiry().lapsed == 1)
        #expect(try await farm.state(id) == .succeeded)
    }

    @Test("after a gap of the duty leases are extended, and lapse only later")
    func outage() async throws {
        let farm = try await Farm()
        try await farm.job()
        let task = try await farm.claimOne(try await farm.worker())
        _ = try await farm.store.runExpiry()
        try await farm.pool.execute(
            """
            WITH away AS (UPDATE duty SET last_run_at = now() - interval '1 h')
            UPDATE lease SET deadline = now() - interval '50 min'
            """
        )
        let afterGap = try await farm.store.runExpiry()
        #expect(afterGap.extendedAfterGap == 1)
        #expect(afterGap.lapsed == 0)
        #expect(try await farm.deliver(task) == .delivered(nil))
        try await farm.lapseAll()
        #expect(try await farm.store.runExpiry().lapsed == 1)
    }

    @Test("a task whose leases lapse three times is poison and fails its job")
    func poisonByLapses() async throws {
        let farm = try await Farm()
        let id = try await farm.job { $0.maxAttempts = 9 }
        let worker = try await farm.worker()
        for round in 1...3 {
            _ = try await farm.claimOne(worker)
            try await farm.lapseAll()
            let report = try await farm.store.runExpiry()
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
        let id = try await farm.job { $0.maxAttempts = 2 }
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
        let id = try await farm.job { $0.maxAttempts = 1 }
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
        try await farm.job { $0.requirement.precision = "int8" }
        let worker = try await farm.worker()
        let order = try await farm.claim(worker, limit: 10).map(\.job)
        #expect(order == [urgent, old])
        let outcome = try await farm.store.claimTasks(worker: worker, limit: 1)
        guard case .none(.notEligible(let reason, _)) = outcome else {
            throw Farm.Unexpected(what: "\(outcome)")
        }
        #expect([.noWorker, .noPrecision].contains(reason))
        #expect(
            try await farm.store.claimTasks(worker: WorkerID.random(), limit: 1) == .unknownWorker
        )
    }

    @Test("of an owner's jobs a worker gets the one that it is warm for, and the rest after it")
    func warmth() async throws {
        let farm = try await Farm()
        let (cold, warm) = (try await farm.worker("cold"), try await farm.worker("warm"))
        let jobs = [
            try await farm.job(tasks: 2), try await farm.job(tasks: 2),
            try await farm.job(tasks: 2),
        ]
        func claim(_ worker: WorkerID, _ warm: Set<JobID>) async throws -> JobID? {
            let outcome = try await farm.store.claimTasks(worker: worker, limit: 1, warm: warm)
            guard case .tasks(let tasks) = outcome else { return nil }
            return tasks.first?.job
        }
        #expect(try await claim(cold, []) == jobs[0])
        #expect(try await claim(warm, [jobs[2]]) == jobs[2])
        #expect(try await claim(warm, [jobs[2], JobID.random()]) == jobs[2])
        // Nothing of it is left: a worker is never idle for want of warmth.
        #expect(try await claim(warm, [jobs[2]]) == jobs[0])
        #expect(try await claim(warm, [jobs[2]]) == jobs[1])
        #expect(try await farm.violations() == [])
    }

    @Test("the last image's delivery can end its attempt and its job in the same call")
    func finalDelivery() async throws {
        let farm = try await Farm()
        let id = try await farm.job(images: 2)
        let task = try await farm.claimOne(try await farm.worker())
        let totals = AttemptTotals(stepsComputed: 24, conditionsComputed: 1, conditionsFound: 2)
        #expect(try await farm.deliver(task, index: 0, final: totals) == .delivered(nil))
        #expect(try await farm.deliver(task, index: 1, final: totals) == .delivered(.succeeded))
        #expect(
            try await farm.deliver(task, index: 1, final: totals)
                == .alreadyDelivered(digest: "output-1")
        )
        let job = try #require(try await farm.store.job(id))
        #expect(job.state == .succeeded)
        let kinds = try await farm.store.events(of: id, limit: 9).map(\.kind)
        #expect(
            kinds == [
                "job.created", "job.started", "image.delivered", "image.delivered",
                "job.succeeded",
            ]
        )
        #expect(try await farm.violations() == [])
    }

    @Test("a chunk of ten that loses its worker after seven gives three again")
    func chunk() async throws {
        let farm = try await Farm()
        try await farm.job(images: 10)
        let first = try await farm.claimOne(try await farm.worker("a"))
        for index in 0..<7 { _ = try await farm.deliver(first, index: index) }
        try await farm.lapseAll()
        _ = try await farm.store.runExpiry()
        let second = try await farm.claimOne(try await farm.worker("b"))
        #expect(second.images.map(\.index) == [7, 8, 9])
        for index in 7..<10 {
            _ = try await farm.deliver(second, index: index, final: AttemptTotals())
        }
        #expect(try await farm.store.task(first.fence.task)?.state == .succeeded)
        #expect(try await farm.violations() == [])
    }

    @Test(
        "the worker that failed a task does not get it again while another lives",
        arguments: [FailureClass.transient, .workersFault, .resource]
    )
    func avoidance(_ failureClass: FailureClass) async throws {
        let farm = try await Farm()
        try await farm.job()
        let (first, second) = (try await farm.worker("a"), try await farm.worker("b"))
        let failure = AttemptFailure(failureClass: failureClass, message: "bad memory")
        let task = try await farm.claimOne(first)
        _ = try await farm.store.failAttempt(task.fence, failure: failure)
        try await farm.endBackoff()
        #expect(try await farm.claim(first).isEmpty)
        let again = try await farm.claimOne(second)
        _ = try await farm.store.failAttempt(again.fence, failure: failure)
        try await farm.endBackoff()
        // All that could run it have failed it: any may try.
        #expect(try await farm.claim(first).count == 1)
        #expect(try await farm.violations() == [])
    }

    @Test("what a machine is short of blocks its worker from no job, as three faults do")
    func blocks() async throws {
        for (failureClass, blocked) in [(FailureClass.resource, 0), (.workersFault, 1)] {
            let farm = try await Farm()
            try await farm.job(tasks: 3) { $0.maxAttempts = 9 }
            let worker = try await farm.worker("a")
            _ = try await farm.worker("b")
            let failure = AttemptFailure(failureClass: failureClass, message: "the disk is full")
            for task in try await farm.claim(worker, limit: 3) {
                _ = try await farm.store.failAttempt(task.fence, failure: failure)
            }
            let blocks = try await farm.pool.query("SELECT worker_name FROM worker_block")
            #expect(blocks.count == blocked, "\(failureClass)")
            try await farm.pool.execute("DELETE FROM job")
        }
    }

    @Test("a job's limit of workers holds, and frees with the end of an attempt")
    func maxWorkers() async throws {
        let farm = try await Farm()
        try await farm.job(tasks: 9) { $0.maxWorkers = 2 }
        var workers: [WorkerID] = []
        for name in ["a", "b", "c"] { workers.append(try await farm.worker(name)) }
        let first = try await farm.claimOne(workers[0])
        #expect(try await farm.claim(workers[1]).count == 1)
        #expect(try await farm.claim(workers[2]).isEmpty)
        #expect(try await farm.claim(workers[0]).count == 1)
        let outcome = try await farm.store.claimTasks(worker: workers[2], limit: 1)
        guard case .none(.notEligible(.limit, _)) = outcome else {
            throw Farm.Unexpected(what: "\(outcome)")
        }
        _ = first
    }

    @Test("a job of one class stays in the class of its first claim")
    func sameClass() async throws {
        let farm = try await Farm()
        let id = try await farm.job(tasks: 3) { $0.isSameClass = true }
        let first = try await farm.worker("a", numericClass: "x")
        let other = try await farm.worker("b", numericClass: "y")
        #expect(try await farm.claimOne(first).numericClass == "x")
        #expect(try await farm.claim(other).isEmpty)
        #expect(try await farm.claim(first).count == 1)
        #expect(try await farm.store.job(id)?.numericClass == "x")
    }

    @Test("what ends at once is counted once, and its job ends once")
    func concurrentEnds() async throws {
        let farm = try await Farm()
        let id = try await farm.job(tasks: 40)
        let worker = try await farm.worker()
        let tasks = try await farm.claim(worker, limit: 40)
        #expect(tasks.count == 40)
        try await withThrowingTaskGroup { group in
            for (number, task) in tasks.enumerated() {
                group.addTask {
                    switch number % 4 {
                    case 0:
                        _ = try await farm.store.failAttempt(
                            task.fence,
                            failure: AttemptFailure(failureClass: .deterministic, message: "no")
                        )
                    default: _ = try await farm.deliver(task, final: AttemptTotals())
                    }
                }
            }
            try await group.waitForAll()
        }
        let job = try #require(try await farm.store.job(id))
        #expect(job.state == .failed)
        #expect(job.images.delivered == 30)
        #expect(job.images.failed == 10)
        let ends = try await farm.store.events(of: id, limit: 99).filter { $0.kind == "job.failed" }
        #expect(ends.count == 1)
        #expect(try await farm.violations() == [])
    }
}
