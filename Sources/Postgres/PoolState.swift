/// What a pool knows of its connections and callers, and what it decides; nothing here waits.
struct PoolState {
    /// An open connection that nobody has.
    struct Resting {
        let connection: PostgresConnection
        let since: ContinuousClock.Instant
        /// What it was last taken for, among callers that say so.
        let use: String?
    }

    /// What a caller gets, a place of the pool with it: a connection to look over, or the right to
    /// open one; while the server is away that is the one try, after a while.
    enum Grant {
        case resting(Resting)
        case open(after: Duration, isRetry: Bool)
    }

    /// A caller without a place.
    struct Waiter {
        let id: UInt64
        let use: String?
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<Grant, any Error>
    }

    /// The server cannot be reached; one caller at a time tries, the others wait.
    struct Outage {
        var backoff = Backoff(longest: .seconds(1))
        var error: DatabaseError
        var retryAt: ContinuousClock.Instant
        var isTried = true
    }

    /// What is to be done once the lock is free.
    typealias Resumption = (waiter: Waiter, grant: Grant)

    let limit: Int
    private(set) var idle: [Resting] = []
    private(set) var taken = 0
    private(set) var waiters: [Waiter] = []
    private(set) var outage: Outage?
    private(set) var isClosed = false

    init(limit: Int) {
        self.limit = limit
    }

    // MARK: - Taking

    /// Returns a place where one is free: of the connections that rest the last one that had this
    /// use, else the last one that had none, else the last.
    mutating func grant(for use: String? = nil, _ now: ContinuousClock.Instant) -> Grant? {
        let place =
            idle.lastIndex { $0.use == use } ?? idle.lastIndex { $0.use == nil }
            ?? idle.indices.last
        if let place {
            taken += 1
            return .resting(idle.remove(at: place))
        }
        guard taken < limit, outage?.isTried != true else { return nil }
        taken += 1
        return open(now)
    }

    mutating func wait(_ waiter: Waiter) {
        waiters.append(waiter)
    }

    mutating func dismiss(_ id: UInt64) -> Waiter? {
        waiters.firstIndex { $0.id == id }.map { waiters.remove(at: $0) }
    }

    /// Takes the waiters whose time is over; they wait in the order of their deadlines.
    mutating func dismissExpired(_ now: ContinuousClock.Instant) -> [Waiter] {
        let expired = waiters.prefix { $0.deadline <= now }
        waiters.removeFirst(expired.count)
        return Array(expired)
    }

    /// The right to open a connection, for one who has a place; the outage is then theirs to try.
    private mutating func open(_ now: ContinuousClock.Instant) -> Grant {
        guard let outage else { return .open(after: .zero, isRetry: false) }
        self.outage?.isTried = true
        return .open(after: max(.zero, now.duration(to: outage.retryAt)), isRetry: true)
    }

    // MARK: - Opening

    /// Notes that a connection was opened, and lets all in who have a place now.
    mutating func opened(_ now: ContinuousClock.Instant) -> [Resumption] {
        guard outage != nil else { return [] }
        outage = nil
        return admitWaiters(now)
    }

    /// Notes that the server cannot be reached, for one who has a place.
    ///
    /// Returns how long to wait before the next attempt; nil for one who is to stand in line, for
    /// another tries already, and has given the place back.
    mutating func failed(
        _ error: DatabaseError,
        isRetry: Bool,
        _ now: ContinuousClock.Instant
    ) -> Duration? {
        if outage != nil, !isRetry {
            taken -= 1
            return nil
        }
        var outage = outage ?? Outage(error: error, retryAt: now)
        let delay = outage.backoff.next()
        outage.error = error
        outage.retryAt = now.advanced(by: delay)
        outage.isTried = true
        self.outage = outage
        return delay
    }

    // MARK: - Giving back

    /// Takes a connection back; returns the caller who gets it at once.
    mutating func rest(_ resting: Resting) -> Resumption? {
        if !waiters.isEmpty { return (waiters.removeFirst(), .resting(resting)) }
        taken -= 1
        if !isClosed { idle.append(resting) }
        return nil
    }

    /// Takes the place of a connection that is gone back, and with `wasTrying` the outage.
    mutating func freePlace(wasTrying: Bool, _ now: ContinuousClock.Instant) -> [Resumption] {
        taken -= 1
        if wasTrying { outage?.isTried = false }
        return admitWaiters(now)
    }

    /// Takes all idle connections out: after one loss the others are as dead.
    mutating func dropIdle() -> [Resting] {
        defer { idle = [] }
        return idle
    }

    /// Takes out the connections that have rested since before the time.
    mutating func dropIdle(restingSince time: ContinuousClock.Instant) -> [Resting] {
        let old = idle.prefix { $0.since <= time }
        idle.removeFirst(old.count)
        return Array(old)
    }

    mutating func close() -> (idle: [Resting], waiters: [Waiter]) {
        isClosed = true
        defer {
            idle = []
            waiters = []
        }
        return (idle, waiters)
    }

    private mutating func admitWaiters(_ now: ContinuousClock.Instant) -> [Resumption] {
        var admitted: [Resumption] = []
        while let waiter = waiters.first, let grant = grant(for: waiter.use, now) {
            admitted.append((waiters.removeFirst(), grant))
        }
        return admitted
    }
}
