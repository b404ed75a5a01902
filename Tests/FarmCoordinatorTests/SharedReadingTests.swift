import FarmModel
import HTTPTypes
import Synchronization
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite("Readings that are shared", .timeLimit(.minutes(5))) struct SharedReadingTests {
    /// What is read: a number that counts the readings, at a time that the test sets.
    private final class Source: Sendable {
        struct Refused: Error {}

        private let state = Mutex((count: 0, now: ContinuousClock.now, fails: false))
        private let begun = AsyncStream.makeStream(of: Void.self)
        private let gate = AsyncStream.makeStream(of: Void.self)
        private let isHeld: Bool

        init(isHeld: Bool = false) {
            self.isHeld = isHeld
        }

        var count: Int { state.withLock { $0.count } }

        func pass(_ time: Duration) { state.withLock { $0.now += time } }

        func fail(_ fails: Bool) { state.withLock { $0.fails = fails } }

        func reading() -> SharedReading<Int> {
            SharedReading(lifetime: .seconds(1), now: { self.state.withLock { $0.now } }) {
                let (count, fails) = self.state.withLock { state in
                    state.count += 1
                    return (state.count, state.fails)
                }
                self.begun.continuation.yield()
                if self.isHeld { for await _ in self.gate.stream { break } }
                if fails { throw Refused() }
                return count
            }
        }

        func hasBegun() async { for await _ in begun.stream { break } }

        func open() { gate.continuation.yield() }
    }

    @Test("a reading serves all who ask within its lifetime, and no longer")
    func lifetime() async throws {
        let source = Source()
        let reading = source.reading()
        for _ in 0..<5 { #expect(try await reading.value() == 1) }
        source.pass(.milliseconds(999))
        #expect(try await reading.value() == 1)
        source.pass(.milliseconds(1))
        #expect(try await reading.value() == 2)
        #expect(source.count == 2)
    }

    @Test("who asks while it is read waits for the same reading, however long it takes")
    func underWay() async throws {
        let source = Source(isHeld: true)
        let reading = source.reading()
        try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask { try await reading.value() }
            await source.hasBegun()
            source.pass(.seconds(60))
            for _ in 0..<20 { group.addTask { try await reading.value() } }
            source.open()
            for try await value in group { #expect(value == 1) }
        }
        #expect(source.count == 1)
    }

    @Test("a reading that fails is nobody's next answer")
    func failure() async throws {
        let source = Source()
        let reading = source.reading()
        source.fail(true)
        await #expect(throws: Source.Refused.self) { _ = try await reading.value() }
        source.fail(false)
        #expect(try await reading.value() == 2)
    }
}

@Suite("The ends that jobs are foreseen to have", .database, .timeLimit(.minutes(10)))
struct ForecastRouteTests {
    /// The end that is foreseen for a new job, where another job's was asked for before it came.
    private func end(ofJobBehind lifetime: Duration) async throws -> (first: Double?, last: Double?)
    {
        let ends = Mutex<(first: Double?, last: Double?)>((nil, nil))
        var settings = CoordinatorAPISettings()
        settings.blobReserve = 0
        settings.queueLifetime = lifetime
        try await TestFarm.withAPI(settings: settings) { farm in
            var request = RegistrationRequest(name: "w", model: TestFarm.model)
            request.speed = 1e12
            let _: RegistrationAnswer = try await farm.call(.post, "/v1/workers", request)
            let first = try await farm.submit("parameters: {prompt: a, seed: 1-3}").id
            let before: JobView = try await farm.call(.get, "/v1/jobs/\(first)")
            let last = try await farm.submit("parameters: {prompt: b, seed: 1-3}").id
            let after: JobView = try await farm.call(.get, "/v1/jobs/\(last)")
            ends.withLock { $0 = (before.etaSeconds, after.etaSeconds) }
        }
        return ends.withLock { $0 }
    }

    @Test("one look at the queue serves every job, until it is too old")
    func shared() async throws {
        let kept = try await end(ofJobBehind: .seconds(3600))
        #expect(try #require(kept.first) > 0)
        #expect(kept.last == nil, "the queue was read for the second job")
        let new = try await end(ofJobBehind: .zero)
        #expect(try #require(new.last) > #require(new.first))
    }
}
