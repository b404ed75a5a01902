import FarmModel
import Testing

@testable import FarmStore

@Suite struct QueueForecastTests {
    private let one = JobID.random()
    private let other = JobID.random()
    private let third = JobID.random()

    /// What a worker has of a job whose images cost 10.
    private func held(
        _ job: JobID,
        images: Int,
        done: Double = 0,
        since: Double = 0,
        ratio: Double = 1
    ) -> QueueForecast.Held {
        QueueForecast.Held(
            job: job,
            attempt: .timeOrdered(),
            images: images,
            imageCost: 10,
            done: done,
            since: since,
            ratio: ratio
        )
    }

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
        // Both claim one ahead, and the slow one keeps what it has.
        #expect(forecast(speeds: [3, 1], [(one, "a", 4, 50)]).end(of: one) == 20)
        #expect(forecast(speeds: [3, 1], [(one, "a", 6, 50)]).end(of: one) == 20)
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
        forecast.workers[0].held = [held(other, images: 1, done: 0.5, ratio: 2)]
        #expect(forecast.end(of: other) == 10)
        #expect(forecast.end(of: one) == 20)
        forecast.works[0].ratio = 1.5
        #expect(forecast.end(of: one) == 25)
    }

    @Test("the picture that a worker is at ends by how far it was and when, and never before now")
    func underWay() {
        var forecast = forecast(speeds: [1], [])
        forecast.workers[0].held = [held(one, images: 3, done: 0.5, since: 2)]
        #expect(forecast.end(of: one) == 23)
        forecast.workers[0].held[0].since = 60
        #expect(forecast.end(of: one) == 20.5)
    }

    @Test("a task is claimed when the one before it is begun, by whoever comes to that first")
    func ahead() {
        var forecast = forecast(speeds: [1, 1], [(one, "a", 1, 50)])
        // The first ends at 12 and has one ahead; the second is free at 15 and has none.
        forecast.workers[0].held = [held(other, images: 1), held(other, images: 1)]
        forecast.workers[0].held[1].imageCost = 2
        forecast.workers[1].held = [held(other, images: 1)]
        forecast.workers[1].held[0].imageCost = 15
        #expect(forecast.end(of: one) == 25)
        // With one ahead, too, it claims at 15, when the first had claimed at 10.
        forecast.workers[1].held.append(held(other, images: 1))
        #expect(forecast.end(of: one) == 22)
    }

    @Test(
        "a job that is known as of now is foreseen from now on, all others from when they were read"
    )
    func renewed() {
        var forecast = forecast(speeds: [1, 1], [(one, "a", 4, 50)])
        forecast.workers[0].held = [held(other, images: 2), held(one, images: 1)]
        // Since then the second worker has claimed two tasks, and the first has got on for 5 s.
        let own = [held(one, images: 1, done: 0.5), held(one, images: 1)]
        var ahead = held(one, images: 1)
        ahead.order.isAhead = true
        forecast.renew(one, images: 2, held: [0: [ahead], 1: own], ratio: 1, age: 5)
        // The first: 15 s of the other job, then 10 s. The second: 5 s and 10 s; it claims at 5 and at 15.
        #expect(forecast.end(of: other) == 15)
        #expect(forecast.end(of: one) == 35)
        // What is read as held by now has not ended, however long ago the other job's task should have.
        forecast.renew(one, images: 0, held: [0: [ahead]], ratio: 2, age: 60)
        #expect(forecast.end(of: one) == 20)
    }

    @Test("lifted jobs of all owners stand in one line, before every share")
    func lifted() {
        var forecast = forecast(
            speeds: [1],
            [(one, "poor", 2, 50), (other, "rich", 2, 60), (third, "rich", 1, 0)]
        )
        forecast.owners["rich"] = OwnerView(charge: 1000)
        #expect(forecast.end(of: one) == 20)
        #expect(forecast.end(of: other) == 40)
        for index in 0...1 { forecast.works[index].isLifted = true }
        #expect(forecast.end(of: other) == 20)
        #expect(forecast.end(of: one) == 40)
        #expect(forecast.end(of: third) == 50)
    }

    @Test("a job that nobody can render has no end, and does not keep others from theirs")
    func unable() {
        var forecast = forecast(speeds: [1], [(one, "a", 1, 60), (other, "a", 1, 50)])
        forecast.works[0].able = []
        #expect(forecast.end(of: one) == nil)
        #expect(forecast.end(of: other) == 10)
    }
}
