import FarmModel
import FarmStore
import Postgres
import TestSupport
import Testing

/// Two coordinators and many workers that claim, give back and deliver at once.
@Suite(.database, .timeLimit(.minutes(10))) struct QuotaRaceTests {
    /// What bounds the claims, and what is then leased at most.
    enum Bound: CaseIterable {
        case images
        case wideImages
        case namedLimits

        var most: Int { self == .wideImages ? 2 : 3 }
    }

    /// How much of what is bounded is leased.
    private static func leased(_ bound: Bound, _ farm: Farm) async throws -> Int {
        let rows =
            bound == .namedLimits
            ? try await farm.pool.query(
                """
                SELECT count(*) AS n FROM lease JOIN head ON head.id = lease.head_id
                WHERE 'nuke' = ANY(head.limits)
                """
            )
            : try await farm.pool.query(
                "SELECT coalesce(sum(image_count), 0) AS n FROM lease WHERE owner = 'ann'"
            )
        return try #require(rows.first).decode("n")
    }

    private func jobs(_ bound: Bound, on farm: Farm) async throws -> [JobID] {
        if bound == .namedLimits {
            try await farm.store.setLimit("nuke", count: bound.most, by: "olga")
            try await farm.store.setLimit("zeno", count: bound.most + 1, by: "olga")
        } else {
            var change = AccountRequest()
            change.maxImages = .set(bound.most)
            try await farm.store.changeAccount(of: "ann", change, by: "olga")
        }
        var jobs: [JobID] = []
        for number in 0..<4 {
            let images = bound == .wideImages ? 3 : 1
            let owner = bound == .namedLimits && number > 1 ? "bob" : "ann"
            jobs.append(
                try await farm.job(tasks: 8, images: images, owner: owner) {
                    guard bound == .namedLimits else { return }
                    $0.requirement.limits = number == 0 ? ["nuke"] : ["nuke", "zeno"]
                }
            )
        }
        jobs.append(try await farm.job(tasks: 8, owner: "carl"))
        return jobs
    }

    /// Claims for a worker and ends what it gets, one way or another, until the jobs are over.
    ///
    /// - Returns: How much of what is bounded was leased at most right after a claim.
    private static func work(
        as worker: WorkerID,
        through store: FarmStore,
        _ jobs: [JobID],
        within bound: Bound,
        _ farm: Farm
    ) async throws -> Int {
        var largest = 0
        while true {
            var isOver = true
            for job in jobs where try await store.job(job)?.state.isFinal != true { isOver = false }
            if isOver { return largest }
            guard case .tasks(let tasks) = try await store.claimTasks(worker: worker, limit: 2)
            else { continue }
            largest = max(largest, try await leased(bound, farm))
            for task in tasks {
                guard task.fence.epoch > 2 || Bool.random() else {
                    _ = try await store.releaseAttempt(task.fence)
                    continue
                }
                for image in task.images {
                    _ = try await store.deliverImage(
                        task.fence,
                        imageIndex: image.index,
                        output: DeliveredOutput(digest: "output-\(image.index)", size: 10)
                    )
                }
                _ = try await store.completeAttempt(task.fence)
            }
        }
    }

    @Test(
        "coordinators that claim at once never pass a bound, and everything gets done",
        arguments: Bound.allCases
    )
    func atOnce(_ bound: Bound) async throws {
        let farm = try await Farm()
        let other = PostgresPool(try TestDatabase.configuration())
        let stores = [farm.store, FarmStore(pool: other)]
        let jobs = try await jobs(bound, on: farm)
        var workers: [WorkerID] = []
        for number in 0..<8 { workers.append(try await farm.worker("w\(number)")) }
        let largest = try await withThrowingTaskGroup(of: Int.self) { group in
            for (number, worker) in workers.enumerated() {
                let store = stores[number % 2]
                group.addTask {
                    try await Self.work(as: worker, through: store, jobs, within: bound, farm)
                }
            }
            return try await group.reduce(0) { max($0, $1) }
        }
        #expect(largest == bound.most)
        for job in jobs { #expect(try await farm.state(job) == .succeeded) }
        #expect(try await farm.violations() == [])
        await other.close()
    }
}
