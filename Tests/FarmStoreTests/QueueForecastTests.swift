import FarmModel
import Testing

@testable import FarmStore

@Suite struct QueueForecastTests {
    private let one = JobID.random()
    private let other = JobID.random()

    /// A forecast for workers of these speeds; images cost 10.
    private func forecast(
        speeds: [Double],
        _ works: [(job: JobID, owner: String, images: Int, priority: Int)]
    ) -> QueueForecast {
        QueueForecast(
            works: works.enumerated().map { order, work in
                QueueForecast.Work(
                    job: work.job,
                    owner: work.owner,
                    priority: work.priority,
                    order: Int64(order),
                    images: work.images,
                    imageCost: 10,
                    able: Set(speeds.indices)
                )
            },
            workers: speeds.map { QueueForecast.Worker(speed: $0) }
        )
    }

    @Test("a job alone ends when its last worker does, whole pictures at a time")
    func alone() {
        #expect(forecast(speeds: [1], [(one, "a", 3, 50)]).end(of: one) == 30)
        #expect(forecast(speeds: [1, 1], [(one, "a", 3, 50)]).end(of: one) == 20)
        // The fast one renders three while the slow one renders one.
        #expect(forecast(speeds: [3, 1], [(one, "a", 4, 50)]).end(of: one) == 10)
        let many = forecast(speeds: [1, 1], [(one, "a", 10_001, 50)]).end(of: one) ?? 0
        #expect(abs(many - 50_005) <= 10)
    }

    @Test("an owner's jobs go by priority, and owners share the workers")
    func shares() {
        let own = forecast(speeds: [1], [(one, "a", 2, 50), (other, "a", 2, 60)])
        #expect(own.end(of: other) == 20)
        #expect(own.end(of: one) == 40)
        let shared = forecast(speeds: [1], [(one, "a", 10, 50), (other, "b", 2, 0)])
        // One after the other in turn: the small job is not behind the large one.
        #expect((shared.end(of: other) ?? 0) <= 40)
        #expect(shared.end(of: one) == 120)
    }

    @Test("what workers hold comes first, at the pace of its job")
    func held() {
        var forecast = forecast(speeds: [1], [(one, "a", 1, 50)])
        forecast.workers[0].held = [QueueForecast.Held(job: other, cost: 5, ratio: 2)]
        #expect(forecast.end(of: other) == 10)
        #expect(forecast.end(of: one) == 20)
        forecast.works[0].ratio = 1.5
        #expect(forecast.end(of: one) == 25)
    }

    @Test("a job that nobody can render has no end, and does not keep others from theirs")
    func unable() {
        var forecast = forecast(speeds: [1], [(one, "a", 1, 60), (other, "a", 1, 50)])
        forecast.works[0].able = []
        #expect(forecast.end(of: one) == nil)
        #expect(forecast.end(of: other) == 10)
    }

    @Test("the pace of a job is that of its pictures, its band at most a quarter after a tenth")
    func pace() {
        #expect(JobPace(ratios: []).ratio == 1)
        #expect(JobPace(ratios: [1.2, 9, 1.4, 1.3]).ratio == 1.35)
        #expect(JobPace(ratios: [2], overhead: 1.1).ratio == 2.2)
        #expect(JobPace(ratios: []).spread(after: 0) == 0.5)
        #expect(JobPace(ratios: [1, 5, 9]).spread(after: 0.1) == 0.25)
        #expect(JobPace(ratios: [1, 1, 1]).spread(after: 0.5) == 0.15)
    }
}
