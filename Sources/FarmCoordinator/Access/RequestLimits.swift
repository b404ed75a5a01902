import Synchronization

/// How many requests one token may make; those of workers and admins are not counted.
package struct RequestLimits: Sendable {
    /// How many a second, over time; nil for any number.
    package var perSecond: Double? = 200
    /// How many may be under way at one time, streams and downloads included.
    package var underWay = 256
    /// How many unknown tokens an address may show a second, over time.
    package var unknownPerSecond = 10.0
    /// For how many seconds' worth of requests may come at once.
    package var burstSeconds = 5.0

    package init() {}
}

/// Why a request is not let in now.
struct RequestExcess: Error, Hashable {
    /// In how many seconds it may be let in.
    let retryAfter: Double
    let reason: String
}

/// Counts requests by who makes them: a bucket each, which fills with time and which each request
/// takes from.
final class RequestMeter<Key: Hashable & Sendable>: Sendable {
    private struct Bucket {
        var level: Double
        var filledAt: ContinuousClock.Instant
        var underWay = 0
    }

    private struct State {
        var buckets: [Key: Bucket] = [:]
        /// From how many buckets on those that are full are forgotten.
        var capacity = RequestMeter.leastCapacity
    }

    /// How many buckets are kept at least before any is forgotten.
    private static var leastCapacity: Int { 10_000 }

    private let perSecond: Double
    private let burst: Double
    private let underWay: Int
    private let state = Mutex(State())

    /// A meter that lets in `perSecond` requests a second of each key over time, `burst` of them at
    /// once, and at most `underWay` at one time.
    init(perSecond: Double, burst: Double, underWay: Int = .max) {
        self.perSecond = perSecond
        self.burst = max(1, burst)
        self.underWay = underWay
    }

    /// Lets a request in, which `end` has to follow, or says why not.
    func begin(
        _ key: Key,
        at now: ContinuousClock.Instant = .now
    ) throws(RequestExcess) {
        try change(key, at: now) { bucket throws(RequestExcess) in
            guard bucket.underWay < underWay else {
                throw RequestExcess(
                    retryAfter: 1,
                    reason: "\(underWay) requests of this token are under way"
                )
            }
            guard bucket.level >= 1 else { throw excess(bucket) }
            bucket.level -= 1
            bucket.underWay += 1
        }
    }

    /// Ends a request that was let in.
    func end(_ key: Key) {
        state.withLock { $0.buckets[key]?.underWay -= 1 }
    }

    /// Takes a request's worth, though nothing is under way for it.
    func count(_ key: Key, at now: ContinuousClock.Instant = .now) {
        change(key, at: now) { bucket in bucket.level = max(0, bucket.level - 1) }
    }

    /// Says why nothing would be let in, if so.
    func check(_ key: Key, at now: ContinuousClock.Instant = .now) throws(RequestExcess) {
        let bucket = state.withLock { filled($0.buckets[key], at: now) }
        guard bucket.level < 1 else { return }
        throw excess(bucket)
    }

    /// How many keys are kept.
    var count: Int { state.withLock(\.buckets.count) }

    private func change<Failure: Error>(
        _ key: Key,
        at now: ContinuousClock.Instant,
        _ body: (inout Bucket) throws(Failure) -> Void
    ) throws(Failure) {
        try state.withLock { state throws(Failure) in
            var bucket = filled(state.buckets[key], at: now)
            defer {
                state.buckets[key] = bucket
                forget(&state, at: now)
            }
            try body(&bucket)
        }
    }

    private func excess(_ bucket: Bucket) -> RequestExcess {
        RequestExcess(
            retryAfter: (1 - bucket.level) / perSecond,
            reason: "more than \(Int(perSecond)) requests a second"
        )
    }

    private func filled(_ bucket: Bucket?, at now: ContinuousClock.Instant) -> Bucket {
        guard var bucket else { return Bucket(level: burst, filledAt: now) }
        let passed = (now - bucket.filledAt).inSeconds
        bucket.level = min(burst, bucket.level + max(0, passed) * perSecond)
        bucket.filledAt = now
        return bucket
    }

    private func forget(_ state: inout State, at now: ContinuousClock.Instant) {
        guard state.buckets.count > state.capacity else { return }
        state.buckets = state.buckets.filter { _, bucket in
            bucket.underWay > 0 || filled(bucket, at: now).level < burst
        }
        // So that those which stay are not looked through at every request.
        state.capacity = max(Self.leastCapacity, state.buckets.count * 2)
    }
}
