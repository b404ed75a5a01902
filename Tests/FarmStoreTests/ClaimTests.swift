import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// Who gets what was failed before, and what a claim does to the others that came with it.
@Suite(.database, .timeLimit(.minutes(10))) struct ClaimTests {
    private static let transient = AttemptFailure(
        failureClass: .transient,
        message: "the wind blew"
    )

    /// A farm whose claims that come in the same half second share a statement.
    private func gatheringFarm() async throws -> Farm {
        try await Farm { $0.claimInterval = .milliseconds(500) }
    }

    /// Begins the time in which claims are gathered, by one that gets nothing.
    private func beginGathering(_ farm: Farm) async throws {
        let stranger = try await farm.worker("stranger", digest: "another")
        #expect(try await farm.claim(stranger).isEmpty)
    }

    private func why(_ farm: Farm, _ task: ClaimedTask) async throws -> WaitingCause? {
        try await farm.store.why(task: task.fence.task)
    }

    /// What only the first of two workers has.
    enum Want: CaseIterable { case tag, memory, numericClass, unblocked }

    @Test(
        "the only worker that fits gets the task again that it failed",
        arguments: Want.allCases
    )
    func soleFitting(_ want: Want) async throws {
        let farm = try await Farm()
        let only = try await farm.worker("a", numericClass: "x") {
            $0.tags = ["amx"]
            $0.memory = 32 << 30
        }
        _ = try await farm.worker("b", numericClass: want == .numericClass ? "y" : "x") {
            $0.tags = want == .tag ? [] : ["amx"]
            $0.memory = want == .memory ? 8 << 30 : 32 << 30
        }
        let job = try await farm.job {
            $0.requirement.tags = ["amx"]
            $0.requirement.memoryBytes = 16 << 30
            $0.isSameClass = true
        }
        if want == .unblocked {
            try await farm.pool.execute(
                "INSERT INTO worker_block (job_id, worker_name) VALUES (\(job), 'b')"
            )
        }
        let task = try await farm.claimOne(only)
        _ = try await farm.store.failAttempt(task.fence, failure: Self.transient)
        try await farm.endBackoff()
        #expect(try await why(farm, task) == .behind(tasks: 0))
        #expect(try await farm.claimOne(only).fence.task == task.fence.task)
        #expect(try await farm.violations() == [])
    }

    @Test("what many workers were short of is for any of them when all have tried")
    func allOfMany() async throws {
        let farm = try await Farm()
        try await farm.job()
        var workers: [WorkerID] = []
        for number in 0..<20 { workers.append(try await farm.worker("w\(number)")) }
        let short = AttemptFailure(failureClass: .resource, message: "no memory")
        for worker in workers {
            let task = try await farm.claimOne(worker)
            _ = try await farm.store.failAttempt(task.fence, failure: short)
            try await farm.endBackoff()
            #expect(try await farm.claim(worker).isEmpty == (worker != workers.last))
        }
        #expect(try await farm.violations() == [])
    }

    @Test("a worker is known however often the farm changes while it claims")
    func knownWhileChanging() async throws {
        let farm = try await Farm()
        let worker = try await farm.worker()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    farm.store.queueChanged()
                    await Task.yield()
                }
            }
            for _ in 0..<200 {
                let claimed = try await farm.claim(worker)
                #expect(claimed.isEmpty)
            }
            group.cancelAll()
        }
    }

    @Test("a task goes to the worker that did not fail it, though both claim at one moment")
    func together() async throws {
        let farm = try await gatheringFarm()
        let (first, second) = (try await farm.worker("a"), try await farm.worker("b"))
        try await farm.job()
        let task = try await farm.claimOne(first)
        _ = try await farm.store.failAttempt(task.fence, failure: Self.transient)
        try await farm.endBackoff()
        try await beginGathering(farm)
        async let one = farm.claim(first)
        async let other = farm.claim(second)
        let claimed = try await (one.count, other.count)
        #expect(claimed == (0, 1))
    }

    @Test("a worker is kept from a job for its failures while another can run it, and no longer")
    func vainBlock() async throws {
        let farm = try await Farm()
        let job = try await farm.job(tasks: 4) {
            $0.maxAttempts = 9
            $0.requirement.tags = ["amx"]
        }
        let only = try await farm.worker("a") { $0.tags = ["amx"] }
        _ = try await farm.worker("b")
        for task in try await farm.claim(only, limit: 3) {
            _ = try await farm.store.failAttempt(task.fence, failure: Self.transient)
        }
        #expect(try await farm.claim(only).count == 1)
        let other = try await farm.worker("c") { $0.tags = ["amx"] }
        try await farm.endBackoff()
        #expect(try await farm.claim(only).isEmpty)
        #expect(try await farm.store.why(job: job)?.map(\.cause) == [.behind(tasks: 0)])
        _ = try await farm.store.setWorker(other, .drain, by: "root")
        #expect(try await farm.claim(only).count == 1)
    }

    @Test("what fails for one claim leaves those that came with it what they have")
    func failingGroup() async throws {
        let farm = try await gatheringFarm()
        let good = try await farm.worker("a")
        let bad = try await farm.worker("b") { $0.memory = 1 << 30 }
        try await farm.job(tasks: 9)
        try await farm.pool.withConnection { connection in
            try await connection.execute(
                script: """
                    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                        BEGIN RAISE EXCEPTION USING ERRCODE = '57014', MESSAGE = 'too slow'; END $$;
                    CREATE TRIGGER refuse BEFORE INSERT ON lease FOR EACH ROW
                        WHEN (NEW.worker_id = '\(bad)') EXECUTE FUNCTION refuse();
                    """
            )
        }
        try await beginGathering(farm)
        async let one = farm.claim(good)
        async let other = #expect(throws: DatabaseError.self) { try await farm.claim(bad) }
        #expect(try await one.count == 1)
        _ = await other
        let leases = try await farm.pool.query("SELECT FROM lease")
        #expect(leases.count == 1)
    }

    @Test("a claim of a process whose name was taken over gets nothing")
    func oldEpoch() async throws {
        let farm = try await Farm()
        try await farm.job(tasks: 3)
        func register() async throws -> WorkerID {
            try await farm.worker { $0.instance = "the same data folder" }
        }
        let worker = try await register()
        func claim(_ epoch: Int64) async throws -> ClaimOutcome {
            try await farm.store.claimTasks(worker: worker, epoch: epoch, limit: 1)
        }
        guard case .tasks = try await claim(1) else { throw Farm.Unexpected(what: "no task") }
        #expect(try await register() == worker)
        #expect(try await claim(1) == .unknownWorker)
        guard case .tasks = try await claim(2) else { throw Farm.Unexpected(what: "no task") }
        #expect(try await claim(1) == .unknownWorker)
        let leases = try await farm.pool.query("SELECT FROM lease")
        #expect(leases.count == 1)
    }
}
