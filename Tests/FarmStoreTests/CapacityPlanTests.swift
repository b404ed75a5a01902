import FarmModel
import Foundation
import Testing

@testable import FarmStore

@Suite struct CapacityPlanTests {
    private let now = Date(timeIntervalSince1970: 0)

    private func plan(
        _ pool: CapacityPlan.Pool,
        _ demands: [CapacityPlan.Demand]
    ) -> PoolCapacityView? {
        CapacityPlan(pools: ["gpu": pool], demands: demands, now: now, target: .seconds(100))
            .views().first
    }

    private func demand(
        _ images: Int,
        _ cost: Double,
        by seconds: Double? = nil
    ) -> CapacityPlan.Demand {
        CapacityPlan.Demand(
            pool: "gpu",
            images: images,
            cost: cost,
            finishBy: seconds.map { now.addingTimeInterval($0) }
        )
    }

    @Test("as many workers as finish what is queued within the target, at most one an image")
    func queue() {
        let pool = CapacityPlan.Pool(workers: 2, flops: 2, speed: 1)
        #expect(plan(pool, [])?.recommended == 0)
        #expect(plan(pool, [demand(50, 500)])?.recommended == 5)
        #expect(plan(pool, [demand(50, 501)])?.recommended == 6)
        #expect(plan(pool, [demand(3, 501)])?.recommended == 3)
        #expect(plan(pool, [demand(1, 1)])?.recommended == 1)
        #expect(plan(pool, [demand(50, 500)])?.seconds == 250)
        #expect(plan(pool, [demand(50, 500)])?.workSeconds == 500)
    }

    @Test("a deadline asks for more, and what is due before it counts, too")
    func deadlines() {
        let pool = CapacityPlan.Pool(workers: 4, flops: 4, speed: 1)
        let view = plan(pool, [demand(40, 200, by: 50), demand(40, 400, by: 60), demand(9, 90)])
        // 600 within 60 s are ten workers, where the first 200 within 50 s are four.
        #expect(view?.forDeadlines == 10)
        #expect(view?.recommended == 10)
        #expect(view?.missedDeadline == now.addingTimeInterval(60))
        #expect(plan(pool, [demand(40, 200, by: 50)])?.missedDeadline == nil)
        // What is late already is not worth a thousand workers.
        #expect(plan(pool, [demand(40, 400, by: -5)])?.forDeadlines == 4)
    }

    @Test("a paused pool is to have none, one of unknown speed the first to tell it")
    func unknown() {
        let paused = CapacityPlan.Pool(isPaused: true, workers: 1, flops: 1, speed: 1)
        #expect(plan(paused, [demand(50, 500)])?.recommended == 0)
        let new = plan(CapacityPlan.Pool(), [demand(50, 500)])
        #expect(new?.recommended == 1)
        #expect(new?.workSeconds == nil && new?.seconds == nil)
        let other = CapacityPlan(
            pools: [:],
            demands: [demand(1, 1)],
            now: now,
            target: .seconds(100)
        )
        #expect(other.views().map(\.pool) == ["gpu"])
    }
}
