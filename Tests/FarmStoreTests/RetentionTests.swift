import FarmModel
import FarmStore
import FoundationEssentials
import Postgres
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct RetentionTests {
    /// A job of each owner with a picture, over for as many days.
    private func farm(
        _ jobs: [(owner: String, days: Int)]
    ) async throws -> (
        farm: PlantedFarm, jobs: [JobID], digests: [BlobDigest]
    ) {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        var made: [JobID] = []
        var digests: [BlobDigest] = []
        for (number, job) in jobs.enumerated() {
            let id = try await farm.job(owner: job.owner)
            let digest = BlobDigest(of: Data("picture \(number)".utf8))
            _ = try await farm.store.deliverImage(
                try await farm.claim(worker.id, of: id),
                imageIndex: 0,
                output: DeliveredOutput(digest: digest.rawValue, size: 1),
                final: AttemptTotals()
            )
            try await farm.pool.execute(
                """
                UPDATE job SET finished_at = now() - make_interval(days => \(job.days))
                WHERE id = \(id)
                """
            )
            made.append(id)
            digests.append(digest)
        }
        return (farm, made, digests)
    }

    private static let day = 86_400.0

    @Test("an owner's pictures and jobs go by the owner's rule, all others by the settings")
    func rules() async throws {
        let (farm, jobs, digests) = try await farm([
            ("ann", 10), ("bob", 10), ("eve", 400), ("sid", 400),
        ])
        let store = farm.store
        let rules = [
            RetentionRule(owner: "ann", outputs: 5 * Self.day, history: 5 * Self.day),
            RetentionRule(owner: "eve", outputs: .infinity),
        ]
        for rule in rules { try await store.setRetention(rule, by: "root") }
        #expect(try await store.retentionRules() == rules)
        var policy = RetentionPolicy()
        policy.outputs = .seconds(30 * 86_400)
        // By the settings alone it is sid's; ann's is gone sooner, eve's never.
        let loose = try await store.unreferenced(among: digests, keepingOutputs: policy.outputs)
        #expect(loose == [digests[0], digests[3]])
        #expect(try await store.runRetention(policy).jobs == 2)
        var left: [JobID] = []
        for job in jobs where try await store.job(job) != nil { left.append(job) }
        #expect(left == [jobs[1], jobs[2]])
        #expect(try await store.audit() == [])

        #expect(try await store.removeRetention(of: "eve", by: "root"))
        #expect(try await !store.removeRetention(of: "eve", by: "root"))
        #expect(try await store.runRetention(policy).jobs == 1)
        #expect(try await store.job(jobs[2]) == nil)
        let actions = try await store.auditTrail(limit: 9).map(\.action)
        #expect(actions.filter { $0 == "retention.set" }.count == 2)
        #expect(actions.first == "retention.removed")
    }

    @Test("rules hold where the settings keep everything, and pictures keep their job")
    func settingsForEver() async throws {
        let (farm, jobs, digests) = try await farm([("ann", 10), ("bob", 4000), ("cid", 10)])
        let store = farm.store
        try await store.setRetention(
            RetentionRule(owner: "ann", outputs: 0, history: 0),
            by: "root"
        )
        try await store.setRetention(RetentionRule(owner: "cid", history: 0), by: "root")
        var policy = RetentionPolicy()
        policy.history = nil
        #expect(try await store.unreferenced(among: digests) == [digests[0]])
        #expect(try await store.runRetention(policy).jobs == 1)
        #expect(try await store.job(jobs[0]) == nil)
        #expect(try await store.job(jobs[1]) != nil)
        #expect(try await store.job(jobs[2]) != nil)
    }

    @Test("the pictures of a job that is not over stay whatever its owner's rule")
    func running() async throws {
        let farm = try await PlantedFarm()
        let worker = try await farm.register()
        let job = try await farm.job(owner: "ann", tasks: 2)
        let digest = BlobDigest(of: Data("picture".utf8))
        _ = try await farm.store.deliverImage(
            try await farm.claim(worker.id, of: job),
            imageIndex: 0,
            output: DeliveredOutput(digest: digest.rawValue, size: 1),
            final: AttemptTotals()
        )
        try await farm.store.setRetention(
            RetentionRule(owner: "ann", outputs: 0, history: 0),
            by: "root"
        )
        #expect(try await farm.store.unreferenced(among: [digest]) == [])
        #expect(try await farm.store.runRetention(RetentionPolicy()).jobs == 0)
    }

    @Test("a rule that says nothing, or a time below 0, is refused")
    func refused() async throws {
        let farm = try await PlantedFarm()
        for rule in [RetentionRule(owner: "ann"), RetentionRule(owner: "ann", outputs: -1)] {
            await #expect(throws: DatabaseError.self) {
                try await farm.store.setRetention(rule, by: "root")
            }
        }
        #expect(try await farm.store.retentionRules() == [])
    }
}
