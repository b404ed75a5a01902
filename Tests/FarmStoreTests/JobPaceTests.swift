import FarmModel
import Testing

@testable import FarmStore

@Suite struct JobPaceTests {
    private let job = JobID.random()
    private let workers = [WorkerID.random(), WorkerID.random()]

    /// Deliveries of an attempt at moments, of images that cost 10 and were to take a second.
    private func deliveries(
        at moments: [Double],
        since: Double = 0,
        by worker: Int = 0,
        seconds: Double? = nil,
        cost: Double = 10
    ) -> [TimedDelivery] {
        let attempt = AttemptID.timeOrdered()
        return moments.map {
            TimedDelivery(
                job: job,
                attempt: attempt,
                worker: workers[worker],
                at: $0,
                since: since,
                cost: cost,
                seconds: seconds
            )
        }
    }

    private func samples(_ deliveries: [TimedDelivery]...) -> PaceSamples {
        PaceSamples(deliveries.flatMap(\.self)) { $0 == workers[0] ? 10 : 20 }
    }

    @Test("pictures are measured by the times between them, against their worker's speed")
    func intervals() {
        // What came before the first one, as the encoding of a prompt, is none of theirs.
        #expect(samples(deliveries(at: [9, 11, 14])).own == [2, 3])
        #expect(samples(deliveries(at: [9, 11, 14], by: 1)).own == [4, 6])
        #expect(samples(deliveries(at: [9, 11, 14], cost: 20)).own == [1, 1.5])
        let both = samples(deliveries(at: [9, 11]), deliveries(at: [9.5, 10.5], by: 1))
        #expect(both.own.sorted() == [2, 2])
        #expect(both.firsts == [])
    }

    @Test("a picture alone is measured by its attempt, or by its claim while that runs")
    func singles() {
        #expect(samples(deliveries(at: [9], seconds: 4)).own == [4])
        let first = samples(deliveries(at: [9], since: 6))
        #expect(first.own == [] && first.firsts == [3])
        #expect(samples(deliveries(at: [9], since: 9)).firsts == [])
        #expect(PaceSamples(deliveries(at: [9, 11])) { _ in nil }.own == [])
    }

    /// The pace of a job whose pictures and the model's other jobs' took so long.
    private func pace(_ own: [Double], firsts: [Double] = [], others: [Double] = []) -> Pace {
        var samples = PaceSamples()
        samples.own = own
        samples.firsts = firsts
        samples.others = others
        return samples.pace
    }

    @Test("a job's pace is its pictures', one that was held up counting for no more than three")
    func own() {
        #expect(pace([]) == .unknown)
        #expect(pace([2, 2, 2, 2]) == Pace(ratio: 2, error: 0.05))
        #expect(pace([2, 2, 50, 2]).ratio == 3)
        #expect(pace([2]).error == 0.35)
        // Of first pictures the quickest had least to do beside.
        #expect(pace([], firsts: [7, 3]) == Pace(ratio: 3, error: 0.5))
    }

    @Test("other jobs tell the pace before the job's pictures do, and less with each of these")
    func others() {
        #expect(pace([], others: [1.5, 1.5, 1.5, 9]) == Pace(ratio: 1.5, error: 0.1))
        #expect(pace([], others: [1.5]).error == 0.25)
        let few = pace([3, 3, 3], others: [1.5, 1.5, 1.5, 1.5])
        // Both are as sure as they can be, so that the others count as one more picture.
        #expect(abs(few.ratio - (3 * 3 + 1.5) / 4) < 1e-9)
        #expect(abs(few.error - 0.05) < 1e-9)
        let many = pace(Array(repeating: 3, count: 40), others: [1.5, 1.5, 1.5, 1.5])
        #expect(many.ratio > 2.96)
        // What is scattered widely is worth less than what is not: eight pictures at most.
        let scattered = pace([1, 3, 2, 1, 3], others: [1.5, 1.5, 1.5, 1.5])
        #expect(abs(scattered.ratio - (5 * 2 + 8 * 1.5) / 13) < 1e-9)
    }

    @Test("what is known of other jobs is of those of the model whose pictures cost about as much")
    func book() {
        func attempt(_ imageCost: Double, _ seconds: Double, of job: JobID) -> TimedAttempt {
            TimedAttempt(
                job: job,
                worker: workers[0],
                cost: 2 * imageCost,
                imageCost: imageCost,
                seconds: seconds
            )
        }
        let other = JobID.random()
        // The small ones take three times what is predicted, the large ones as long.
        let small = (0..<4).map { _ in attempt(10, 6, of: other) }
        let large = (0..<4).map { _ in attempt(1000, 200, of: other) }
        let own = (0..<4).map { _ in attempt(1000, 2000, of: job) }
        var book = PaceBook(
            speeds: [workers[0]: 10],
            attempts: ["model": large + small + own]
        )
        #expect(book.pace(model: "model", imageCost: 12).ratio == 3)
        #expect(book.pace(model: "another", imageCost: 12) == .unknown)
        let delivered = deliveries(at: [0, 100, 200, 300], cost: 1000)
        // A job's own attempts are no other job's.
        #expect(book.pace(model: "model", imageCost: 1000, delivered).ratio == 1)
        // Where there is nothing like it, everything has to do.
        var few = PaceBook(speeds: [workers[0]: 10], attempts: ["model": small])
        #expect(few.pace(model: "model", imageCost: 1e6).ratio == 3)
    }

    @Test("the band is as wide as the pace is unsure, at most a quarter after a tenth")
    func band() {
        let sure = Pace(ratio: 1, error: 0.02)
        #expect(abs(sure.spread(after: 0.5, of: 1000, image: 1) - 1.65 * 0.1414) < 1e-3)
        #expect(sure.spread(after: 0.5, of: 10, image: 10) == 0.25)
        #expect(sure.spread(after: 0.09, of: 10, image: 10) == 0.5)
        #expect(Pace.unknown.spread(after: 0.1, of: 1000, image: 1) == 0.25)
        #expect(Pace.unknown.spread(after: 0, of: 0, image: 1) == 0.5)
        let unsure = Pace(ratio: 1, error: 0.2)
        #expect(abs(unsure.spread(after: 0, of: 1000, image: 1) - 1.65 * 0.2441) < 1e-3)
    }
}
