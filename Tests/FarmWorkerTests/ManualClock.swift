import FarmWorker

/// A clock that a test moves.
struct ManualClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration

        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (first: Instant, second: Instant) -> Bool { first.offset < second.offset }
    }

    private struct State: Sendable {
        var now = Instant(offset: .zero)
        var sleepers: [Int: Instant] = [:]
        var slept: [Duration] = []
        var count = 0
    }

    private let state = Watched(State())

    var now: Instant { state.read { $0.now } }
    var minimumResolution: Duration { .nanoseconds(1) }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        let sleeper = state.update { state in
            state.count += 1
            state.sleepers[state.count] = deadline
            state.slept.append(state.now.duration(to: deadline))
            return state.count
        }
        defer { state.update { $0.sleepers[sleeper] = nil } }
        try await state.wait { $0.now >= deadline ? () : nil }
    }

    /// Waits until someone sleeps so long, and lets time pass until that is over.
    func pass(_ duration: Duration) async throws {
        let deadline = try await state.wait { state in
            state.sleepers.values.first { state.now.duration(to: $0) == duration }
        }
        state.update { $0.now = max($0.now, deadline) }
    }

    /// Waits until someone sleeps so long from now on.
    func sleeping(_ duration: Duration) async throws {
        try await state.wait { state in
            state.sleepers.values.contains { state.now.duration(to: $0) == duration } ? () : nil
        }
    }

    /// Waits until someone sleeps, and lets time pass until the first of them wakes.
    func passToNext() async throws {
        let deadline = try await state.wait { state in
            state.sleepers.values.filter { $0 > state.now }.min()
        }
        state.update { $0.now = max($0.now, deadline) }
    }

    /// How long each sleep was to be, in their order.
    var slept: [Duration] { state.read { $0.slept } }
}
