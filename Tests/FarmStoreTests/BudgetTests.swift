import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// What workers' time is charged to a budget, and what is done when it is used up.
@Suite(.database, .timeLimit(.minutes(10))) struct BudgetTests {
    private func budget(
        _ farm: Farm,
        seconds: Double?,
        _ action: BudgetAction = .hold
    ) async throws {
        var change = AccountRequest()
        change.budget =
            seconds.map { .set(ComputeBudget(seconds: $0, period: .day, action: action)) }
            ?? .remove
        try await farm.store.changeAccount(of: "ann", change, by: "olga")
    }

    private func used(_ farm: Farm) async throws -> Double {
        try #require(try await farm.store.accounts(of: "ann").first).computeSeconds
    }

    /// Lets what is leased have begun some time ago, by so many workers.
    private func age(_ farm: Farm, seconds: Double, ranks: Int = 1) async throws {
        try await farm.pool.execute(
            """
            UPDATE lease SET claimed_at = now() - make_interval(secs => \(seconds)),
                begun_at = now() - make_interval(secs => \(seconds)), ranks = \(ranks)
            """
        )
    }

    /// What ends an attempt.
    enum End: CaseIterable { case delivery, release, failure, lapse, cancel }

    @Test("an attempt counts while it runs and however it ends, once", arguments: End.allCases)
    func counted(_ end: End) async throws {
        let farm = try await Farm()
        let job = try await farm.job()
        let worker = try await farm.worker()
        let task = try await farm.claimOne(worker)
        #expect(try await used(farm) == 0)
        try await age(farm, seconds: 100, ranks: 2)
        #expect((200..<260).contains(try await used(farm)))
        switch end {
        case .delivery: _ = try await farm.deliver(task, final: AttemptTotals())
        case .release: _ = try await farm.store.releaseAttempt(task.fence)
        case .failure:
            let failure = AttemptFailure(failureClass: .transient, message: "the wind blew")
            _ = try await farm.store.failAttempt(task.fence, failure: failure)
        case .lapse:
            try await farm.lapseAll()
            #expect(try await farm.store.runExpiry().lapsed == 1)
        case .cancel: _ = try await farm.store.cancelJob(job, mode: .now, by: "ann")
        }
        let settled = try await used(farm)
        #expect((200..<260).contains(settled))
        for _ in 0..<2 { #expect(try await farm.store.countCompute() == []) }
        #expect(abs(try await used(farm) - settled) < 0.001)
        // A deletion gives nothing back.
        _ = try await farm.store.cancelJob(job, mode: .now, by: "ann")
        _ = try await farm.store.deleteJob(job, by: "ann")
        #expect(abs(try await used(farm) - settled) < 0.001)
    }

    @Test("an attempt that no heartbeat told of counts what its worker says, at most its time")
    func short() async throws {
        let farm = try await Farm()
        try await farm.job()
        let worker = try await farm.worker()
        let task = try await farm.claimOne(worker)
        var totals = AttemptTotals()
        totals.busySeconds = 7
        try await farm.pool.execute("UPDATE lease SET claimed_at = now() - interval '60 s'")
        _ = try await farm.deliver(task, final: totals)
        #expect(try await used(farm) == 7)
        try await farm.job()
        let next = try await farm.claimOne(worker)
        totals.busySeconds = 1e308
        _ = try await farm.deliver(next, final: totals)
        #expect(try await used(farm) < 60)
    }

    @Test("a budget that is used up holds the owner's tasks until it is raised or time goes by")
    func hold() async throws {
        let farm = try await Farm()
        try await budget(farm, seconds: 100)
        let job = try await farm.job(tasks: 4)
        let worker = try await farm.worker()
        let first = try await farm.claimOne(worker)
        try await age(farm, seconds: 85)
        let soon = try #require(try await farm.store.countCompute().first)
        #expect(soon.owner == "ann" && soon.percent == 80)
        #expect(try await farm.store.countCompute() == [])
        let second = try await farm.claimOne(worker)
        try await age(farm, seconds: 85)
        #expect(try await farm.store.countCompute().map(\.percent) == [100])
        farm.store.queueChanged()
        #expect(try await farm.claim(worker).isEmpty)
        let why = try #require(try await farm.store.why(job: job)?.first)
        guard case .quota(let shortage) = why.cause else {
            Issue.record("it waits for \(why.cause)")
            return
        }
        #expect(shortage.kind == .compute && shortage.most == 100 && shortage.period == .day)
        #expect(try await farm.store.waitingCounts()[.quota] == 2)
        // What runs is let finish.
        _ = try await farm.deliver(first, final: AttemptTotals())
        _ = try await farm.deliver(second, final: AttemptTotals())
        #expect(try await farm.store.countCompute() == [])
        farm.store.queueChanged()
        #expect(try await farm.claim(worker).isEmpty)
        let trail = try await farm.store.auditTrail(limit: 20).filter { $0.actor == "farm" }
        #expect(trail.map(\.action) == ["budget.passed", "budget.passed"])
        try await budget(farm, seconds: 1000)
        _ = try await farm.claimOne(worker)
        try await budget(farm, seconds: 100)
        #expect(try await farm.claim(worker).isEmpty)
        try await farm.pool.execute(
            "UPDATE account_compute SET hour = hour - interval '26 hours'"
        )
        _ = try await farm.store.countCompute()
        farm.store.queueChanged()
        _ = try await farm.claimOne(worker)
        #expect(try await farm.violations() == [])
    }

    @Test("a budget that only warns holds nothing")
    func warn() async throws {
        let farm = try await Farm()
        try await budget(farm, seconds: 0, .warn)
        try await farm.job(tasks: 2)
        let worker = try await farm.worker()
        #expect(try await farm.store.countCompute().map(\.percent) == [100])
        #expect(try await farm.claim(worker, limit: 2).count == 2)
    }
}
