import Dispatch
import Synchronization

/// A bounded set of connections to one database, opened as they are needed.
///
/// Callers wait in order of arrival when all are taken, at most `waitTimeout`. A connection is looked
/// over when it is taken, and one that broke, or was left inside a transaction, is not kept; after
/// one loss all that rest are dropped. While the server cannot be reached one caller tries again,
/// with growing pauses, and the others wait.
package final class PostgresPool: Sendable {
    /// How many connections there are.
    package struct Counts: Sendable, Hashable {
        /// Open and not taken.
        package let idle: Int
        /// Taken, or being opened.
        package let taken: Int
        /// Callers that wait.
        package let waiting: Int
    }

    private struct State {
        var pool: PoolState
        var lastWaiter: UInt64 = 0
        var isWaitTimed = false
        var isRestTimed = false
    }

    /// Where timers go off: not among the global queues, whose threads are the cooperative pool's.
    private static let timers = DispatchQueue(label: "dreamfarm.postgres.pool")

    let configuration: PostgresConfiguration
    private let state: Mutex<State>

    /// Creates a pool that opens its first connection when it is first asked for one.
    package init(_ configuration: PostgresConfiguration) {
        precondition(configuration.maxConnections > 0, "A pool needs room for a connection")
        self.configuration = configuration
        state = Mutex(State(pool: PoolState(limit: configuration.maxConnections)))
    }

    /// How many connections are idle and taken, and how many callers wait.
    package var counts: Counts {
        state.withLock { state in
            Counts(
                idle: state.pool.idle.count,
                taken: state.pool.taken,
                waiting: state.pool.waiters.count
            )
        }
    }

    /// Calls the body with a connection that is its own until it returns.
    ///
    /// A session plans each statement for itself, and again whenever a table of it was swept. What
    /// runs costly statements often says which `use` it is of, and gets the connection that had this
    /// use before, where that rests.
    ///
    /// Throws a `DatabaseError` when no connection is to be had, and what the body throws.
    package func withConnection<R>(
        for use: String? = nil,
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let taken = try await take(for: use)
        defer { giveBack(taken) }
        return try await body(taken.connection)
    }

    /// Calls the body inside a transaction, committed when it returns and rolled back when it throws.
    ///
    /// `BEGIN` travels with the first statement. Neither the commit nor the roll-back is cut short by
    /// cancellation. Throws a `DatabaseError` when no connection is to be had or the commit fails,
    /// and what the body throws.
    package func withTransaction<R>(
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        try await withConnection { try await Self.transaction(on: $0, body) }
    }

    static func transaction<R>(
        on connection: PostgresConnection,
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        connection.beginWithNextStatement()
        let result: R
        do {
            result = try await body(connection)
        } catch {
            await connection.rollBack()
            throw error
        }
        try await connection.commit()
        return result
    }

    /// Runs one statement on any connection and returns its rows.
    ///
    /// A statement by itself is a transaction: where the server ended it to resolve a conflict with
    /// others, nothing of it is done, and it runs again. For `use` see ``withConnection(for:_:)``.
    package func query(_ query: Query, for use: String? = nil) async throws -> [Row] {
        try await withRetries { try await withConnection(for: use) { try await $0.query(query) } }
    }

    /// Runs one statement on any connection and returns how many rows it touched.
    ///
    /// It runs again where the server ended it, as ``query(_:for:)`` does.
    @discardableResult
    package func execute(_ query: Query) async throws -> Int {
        try await withRetries { try await withConnection { try await $0.execute(query) } }
    }

    /// Runs several statements in one round trip and one transaction; see `PostgresConnection.batch`.
    @discardableResult
    package func batch(_ queries: [Query]) async throws -> [QueryResult] {
        try await withConnection { try await $0.batch(queries) }
    }

    /// Calls the body, a whole transaction, and again, a few times, where the server ended it to
    /// resolve a conflict with others.
    package func withRetries<R>(_ body: () async throws -> R) async throws -> R {
        var triesLeft = 5
        while true {
            do {
                return try await body()
            } catch let error as DatabaseError where error.isConflict && triesLeft > 1 {
                triesLeft -= 1
            }
        }
    }

    /// Refuses new callers and closes idle connections now, taken ones as they are given back.
    package func close() async {
        let (idle, waiters) = state.withLock { $0.pool.close() }
        for waiter in waiters { waiter.continuation.resume(throwing: Self.closed) }
        for resting in idle { await resting.connection.close() }
    }

    // MARK: - Taking

    /// A connection that a caller has, with what it is used for.
    private struct Taken {
        let connection: PostgresConnection
        let use: String?
    }

    private func take(for use: String?) async throws -> Taken {
        try Task.checkCancellation()
        let grant = try state.withLock { state in
            if state.pool.isClosed { throw Self.closed }
            return state.pool.grant(for: use, .now)
        }
        let deadline = ContinuousClock.now.advanced(by: configuration.waitTimeout)
        var next = grant
        while true {
            let grant: PoolState.Grant
            if let next {
                grant = next
            } else {
                grant = try await standInLine(for: use, until: deadline)
            }
            next = nil
            switch grant {
            case .resting(let resting):
                if await isAlive(resting) {
                    return Taken(connection: resting.connection, use: use ?? resting.use)
                }
                // The place is still ours. The others that rest are as dead as this one.
                dropIdle()
                next = .open(after: .zero, isRetry: false)
            case .open(let delay, let isRetry):
                let opened = try await open(after: delay, isRetry: isRetry, until: deadline)
                if let opened { return Taken(connection: opened, use: use) }
            }
        }
    }

    private func isAlive(_ resting: PoolState.Resting) async -> Bool {
        let isRested = resting.since.duration(to: .now) > configuration.idleCheck
        if resting.connection.isQuiet, !isRested { return true }
        return await resting.connection.answers()
    }

    /// Opens a connection for one who has a place, trying until the deadline while the server is away.
    ///
    /// Returns nil, without a place, when another caller tries already.
    private func open(
        after first: Duration,
        isRetry isTrying: Bool,
        until deadline: ContinuousClock.Instant
    ) async throws -> PostgresConnection? {
        var delay = first
        var isRetry = isTrying
        do {
            while true {
                if delay > .zero { try await Task.sleep(for: delay) }
                do {
                    let connection = try await PostgresConnection.connect(configuration)
                    resume(state.withLock { $0.pool.opened(.now) })
                    return connection
                } catch let error as DatabaseError where error.isTransient {
                    let next = state.withLock { $0.pool.failed(error, isRetry: isRetry, .now) }
                    guard let next else { return nil }
                    isRetry = true
                    guard ContinuousClock.now.advanced(by: next) < deadline else { throw error }
                    delay = next
                }
            }
        } catch {
            resume(state.withLock { $0.pool.freePlace(wasTrying: isRetry, .now) })
            throw error
        }
    }

    private func standInLine(
        for use: String?,
        until deadline: ContinuousClock.Instant
    ) async throws -> PoolState.Grant {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let waiter = PoolState.Waiter(
                    id: id,
                    use: use,
                    deadline: deadline,
                    continuation: continuation
                )
                admit(waiter)
            }
        } onCancel: {
            dismiss(id)
        }
    }

    private func admit(_ waiter: PoolState.Waiter) {
        let answer = state.withLock { state -> Result<PoolState.Grant, any Error>? in
            if state.pool.isClosed { return .failure(Self.closed) }
            if let grant = state.pool.grant(for: waiter.use, .now) { return .success(grant) }
            state.pool.wait(waiter)
            return nil
        }
        if let answer {
            waiter.continuation.resume(with: answer)
            return
        }
        timeWaiters()
        // A task cancelled before its waiter stood in line was not found there by its handler.
        if Task.isCancelled { dismiss(waiter.id) }
    }

    private func dismiss(_ id: UInt64) {
        let waiter = state.withLock { $0.pool.dismiss(id) }
        waiter?.continuation.resume(throwing: CancellationError())
    }

    /// Sees to it that the first waiter's time ends; one timer serves the line.
    private func timeWaiters() {
        let deadline = state.withLock { state -> ContinuousClock.Instant? in
            guard !state.isWaitTimed, let first = state.pool.waiters.first else { return nil }
            state.isWaitTimed = true
            return first.deadline
        }
        guard let deadline else { return }
        let wait = ContinuousClock.now.duration(to: deadline).milliseconds + 1
        Self.timers.asyncAfter(deadline: .now() + .milliseconds(wait)) { [weak self] in
            self?.dismissExpired()
        }
    }

    private func dismissExpired() {
        let (waiters, outage) = state.withLock { state in
            state.isWaitTimed = false
            return (state.pool.dismissExpired(.now), state.pool.outage)
        }
        let (limit, wait) = (configuration.maxConnections, configuration.waitTimeout)
        let error =
            outage?.error
            ?? DatabaseError(
                sqlState: DatabaseError.State.tooManyConnections,
                message: "all \(limit) connections of the pool are taken for \(wait)"
            )
        for waiter in waiters { waiter.continuation.resume(throwing: error) }
        timeWaiters()
    }

    // MARK: - Giving back

    private func giveBack(_ taken: Taken) {
        let (now, connection) = (ContinuousClock.now, taken.connection)
        guard connection.condition == .clean, !isOld(connection, now) else {
            if connection.condition == .lost { dropIdle() }
            resume(state.withLock { $0.pool.freePlace(wasTrying: false, now) })
            return
        }
        let resting = PoolState.Resting(connection: connection, since: now, use: taken.use)
        if let resumption = state.withLock({ $0.pool.rest(resting) }) { resume([resumption]) }
        timeRest()
    }

    /// Tells whether a connection has lived long enough; not all opened together end together.
    private func isOld(_ connection: PostgresConnection, _ now: ContinuousClock.Instant) -> Bool {
        let spread = Double(ObjectIdentifier(connection).hashValue.magnitude % 1000) / 1000
        let lifetime = configuration.maxLifetime * (0.9 + 0.2 * spread)
        return connection.openedAt.duration(to: now) > lifetime
    }

    /// Lets go of the resting connections; each ends its session when nothing refers to it any more.
    private func dropIdle() {
        _ = state.withLock { $0.pool.dropIdle() }
    }

    private func resume(_ resumptions: [PoolState.Resumption]) {
        for (waiter, grant) in resumptions { waiter.continuation.resume(returning: grant) }
    }

    /// Sees to it that connections that rest too long are closed; one timer serves all.
    private func timeRest() {
        let isNew = state.withLock { state in
            guard !state.isRestTimed, !state.pool.idle.isEmpty else { return false }
            state.isRestTimed = true
            return true
        }
        guard isNew else { return }
        let time = DispatchTime.now() + .milliseconds(configuration.idleTimeout.milliseconds + 1)
        Self.timers.asyncAfter(deadline: time) { [weak self] in
            self?.dropRested()
        }
    }

    private func dropRested() {
        let time = ContinuousClock.now.advanced(by: .zero - configuration.idleTimeout)
        _ = state.withLock { state in
            state.isRestTimed = false
            return state.pool.dropIdle(restingSince: time)
        }
        timeRest()
    }

    private static let closed = DatabaseError(sqlState: nil, message: "the pool is closed")
}
