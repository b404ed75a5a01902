import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// Limits that jobs of all owners share.
@Suite(.database, .timeLimit(.minutes(10))) struct NamedLimitTests {
    private func job(
        _ farm: Farm,
        _ limits: [String],
        owner: String = "ann",
        tasks: Int = 1
    ) async throws -> JobID {
        try await farm.job(tasks: tasks, owner: owner) { $0.requirement.limits = limits }
    }

    private func why(_ farm: Farm, _ job: JobID) async throws -> WaitingCause? {
        try await farm.store.why(job: job)?.first?.cause
    }

    @Test("tasks of all owners share a limit's places, and what waits says who has them")
    func shared() async throws {
        let farm = try await Farm()
        try await farm.store.setLimit("nuke", count: 3, by: "olga")
        let anns = try await job(farm, ["nuke"], tasks: 2)
        let bobs = try await job(farm, ["nuke"], owner: "bob", tasks: 5)
        let free = try await farm.job(owner: "bob")
        let worker = try await farm.worker()
        var claimed: [ClaimedTask] = []
        for _ in 0..<8 { claimed += try await farm.claim(worker) }
        #expect(claimed.count { $0.job != free } == 3)
        #expect(claimed.count { $0.job == free } == 1)
        let limit = try #require(try await farm.store.limits(withJobs: true).first)
        #expect(limit.used == 3 && limit.count == 3)
        #expect(limit.jobs?.map(\.tasks).reduce(0, +) == 3)
        #expect(try await farm.store.limits(withJobs: false).first?.jobs == nil)
        let own = claimed.count { $0.job == bobs }
        #expect(
            try await why(farm, bobs)
                == .namedLimit(LimitShortage(name: "nuke", count: 3, used: 3, own: own))
        )
        #expect(try await farm.store.waitingCounts()[.limit] == 4)
        let ended = try #require(claimed.first { $0.job == anns })
        _ = try await farm.deliver(ended, final: AttemptTotals())
        #expect(try await farm.claim(worker, limit: 3).count == 1)
        #expect(try await farm.violations() == [])
    }

    @Test("a limit that nobody set is waited for, 0 stops, and lowering lets what runs end")
    func changes() async throws {
        let farm = try await Farm()
        let job = try await job(farm, ["a", "b"], tasks: 3)
        let worker = try await farm.worker()
        #expect(try await farm.store.unknownLimits(among: ["b", "a"]) == ["a", "b"])
        #expect(try await farm.claim(worker).isEmpty)
        #expect(try await why(farm, job) == .namedLimit(LimitShortage(name: "a", count: nil)))
        try await farm.store.setLimit("a", count: 2, by: "olga")
        #expect(try await farm.claim(worker).isEmpty)
        #expect(try await why(farm, job) == .namedLimit(LimitShortage(name: "b", count: nil)))
        try await farm.store.setLimit("b", count: 0, by: "olga")
        #expect(try await farm.claim(worker).isEmpty)
        #expect(try await why(farm, job) == .namedLimit(LimitShortage(name: "b", count: 0)))
        try await farm.store.setLimit("b", count: 5, by: "olga")
        let held = try await farm.claim(worker, limit: 3)
        #expect(held.count == 2)
        try await farm.store.setLimit("a", count: 1, by: "olga")
        _ = try await farm.deliver(held[0], final: AttemptTotals())
        #expect(try await farm.claim(worker).isEmpty)
        _ = try await farm.deliver(held[1], final: AttemptTotals())
        #expect(try await farm.claim(worker).count == 1)
        #expect(try await farm.store.removeLimit("a", by: "olga"))
        #expect(try await !farm.store.removeLimit("a", by: "olga"))
        let trail = try await farm.store.auditTrail(limit: 20).filter { $0.actor == "olga" }
        #expect(
            trail.map { "\($0.action) \($0.target)" } == [
                "limit.removed a", "limit.set a", "limit.set b", "limit.set b", "limit.set a",
            ]
        )
    }

    @Test("what is bounded hides nothing behind it, of its owner or of another")
    func others() async throws {
        let farm = try await Farm()
        for _ in 0..<70 {
            _ = try await farm.job {
                $0.requirement.limits = ["none"]
                $0.priority = 90
            }
        }
        let open = try await farm.job { $0.priority = 10 }
        #expect(try await farm.claim(try await farm.worker(), limit: 2).map(\.job) == [open])
    }
}
