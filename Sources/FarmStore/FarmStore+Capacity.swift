package import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// How many workers each pool should have for what is queued and rendered.
    ///
    /// A job that asks for no pool counts for the one whose workers do most in a second of those that can run
    /// it, for `default` where none can. Quotas, limits and `max_workers` are not looked at. Work counts for as
    /// much more than its cost as the model's latest attempts took longer than was predicted.
    ///
    /// - Parameter target: How long what is queued may take.
    /// - Returns: The pools by name: those that have or had workers, were paused, or are asked for.
    /// - Throws: `DatabaseError`.
    package func capacity(within target: Duration) async throws -> [PoolCapacityView] {
        // The speeds of those that are gone tell how fast those will be that come.
        let records = try await workers(includingLost: true)
        let paused = try await pools()
        let (queued, held, farm, book) = try await pool.withConnection { connection in
            (
                try await queuedJobs(on: connection), try await heldWork(on: connection),
                try await connection.query("SELECT is_paused, now() AS now FROM farm").first,
                try await paceBook(
                    of: records.filter(\.takesTasks) + records.filter { !$0.takesTasks },
                    on: connection
                )
            )
        }
        var paces = book
        guard let farm else { throw FarmStoreError.vanished("the row of the farm") }
        let isFarmPaused = try farm.decode("is_paused", as: Bool.self)
        var plan = CapacityPlan(
            pools: [:],
            demands: [],
            now: try farm.decode("now"),
            target: target
        )
        for pool in paused { plan.pools[pool.name, default: .init()].isPaused = pool.isPaused }
        let any = records.medianSpeed
        for (name, members) in Dictionary(grouping: records, by: \.pool) {
            let live = members.filter(\.takesTasks)
            // A pool that an autoscaler has emptied stays: it asks for none, until something is queued.
            plan.pools[name, default: .init()].workers = live.count
            plan.pools[name, default: .init()].flops = live.reduce(0) { $0 + $1.speed }
            plan.pools[name, default: .init()].speed =
                live.medianSpeed ?? members.medianSpeed ?? any
        }
        let recordOf = Dictionary(
            records.map { ($0.id, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        for rest in held {
            let worker = recordOf[rest.worker]
            let pace = paces.pace(
                model: worker?.modelDigest ?? "",
                imageCost: rest.work.imageCost
            )
            plan.demands.append(
                CapacityPlan.Demand(
                    pool: worker?.pool ?? Self.defaultPool,
                    images: rest.work.images,
                    cost: rest.cost * pace.ratio
                )
            )
        }
        var poolsOf: [AbilityKey: String] = [:]
        for queued in queued where queued.work.images > 0 {
            let key = AbilityKey(digest: queued.modelDigest, requirement: queued.requirement)
            let pool =
                queued.requirement.pool ?? poolsOf[key] ?? Self.pool(for: key, among: records)
            poolsOf[key] = pool
            let pace = paces.pace(model: queued.modelDigest, imageCost: queued.work.imageCost)
            plan.demands.append(
                CapacityPlan.Demand(
                    pool: pool,
                    images: queued.work.images,
                    cost: queued.work.imageCost * Double(queued.work.images) * pace.ratio,
                    ranks: max(1, queued.requirement.groupSize),
                    finishBy: queued.finishBy
                )
            )
        }
        for demand in plan.demands where plan.pools[demand.pool] == nil {
            plan.pools[demand.pool] = CapacityPlan.Pool(speed: any)
        }
        if isFarmPaused { for name in plan.pools.keys { plan.pools[name]?.isPaused = true } }
        return plan.views()
    }

    private static let defaultPool = "default"

    /// The pool that renders a job which asks for none.
    private static func pool(for key: AbilityKey, among records: [WorkerRecord]) -> String {
        let able = records.filter {
            $0.takesTasks && $0.canRun(model: key.digest, key.requirement)
        }
        let speeds = Dictionary(grouping: able, by: \.pool).mapValues { members in
            members.reduce(0) { $0 + $1.speed }
        }
        return speeds.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? defaultPool
    }
}
