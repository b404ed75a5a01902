import Dispatch
import Synchronization

/// A bounded set of connections to one database, opened as they are needed.
///
/// Callers wait in order of arrival when all are taken, at most `waitTimeout`. A connection is looked
/// over when it is taken, and one that broke, or was left inside a transaction, is not kept.
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

    private struct Resting {
        let connection: PostgresConnection
        let since: ContinuousClock.Instant
    }

    /// What a caller gets: a connection to look over, or the right to open one.
    private enum Grant {
        case resting(Resting)
        case open
    }

    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Grant, any Error>
    }

    private struct State {
        var idle: [Resting] = []
        var taken = 0
        var waiters: [Waiter] = []
        var nextWaiter: UInt64 = 0
        var isClosed = false
    }

    private let configuration: PostgresConfiguration
    private let state = Mutex(State())

    /// Creates a pool that opens its first connection when it is first asked for one.
    package init(_ configuration: PostgresConfiguration) {
        precondition(configuration.maxConnections > 0, "A pool needs room for a connection")
        self.configuration = configuration
    }

    /// How many connections are idle and taken, and how many callers wait.
    package var counts: Counts {
        state.withLock {
            Counts(idle: $0.idle.count, taken: $0.taken, waiting: $0.waiters.count)
        }
    }

    /// Calls the body with a connection that is its own until it returns.
    ///
    /// Throws a `DatabaseError` when no connection is to be had, and what the body throws.
    package func withConnection<R>(
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let connection = try await take()
        do {
            let result = try await body(connection)
            await giveBack(connection)
            return result
        } catch {
            await giveBack(connection)
            throw error
        }
    }

    /// Calls the body inside a transaction, committed when it returns and rolled back when it throws.
    ///
    /// Neither the commit nor the roll-back is cut short by cancellation. Throws a `DatabaseError`
    /// when no connection is to be had or the commit fails, and what the body throws.
    package func withTransaction<R>(
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        try await withConnection { connection in
            try await connection.execute("BEGIN")
            let result: R
            do {
                result = try await body(connection)
            } catch {
                // A roll-back fails only with its connection, and then the server does it.
                try? await connection.executeShielded("ROLLBACK")
                throw error
            }
            try await connection.executeShielded("COMMIT")
            return result
        }
    }

    /// Runs one statement on any connection and returns its rows.
    package func query(_ query: Query) async throws -> [Row] {
        try await withConnection { try await $0.query(query) }
    }

    /// Runs one statement on any connection and returns how many rows it touched.
    @discardableResult
    package func execute(_ query: Query) async throws -> Int {
        try await withConnection { try await $0.execute(query) }
    }

    /// Refuses new callers and closes idle connections now, taken ones as they are given back.
    package func close() async {
        let (idle, waiters) = state.withLock { state in
            state.isClosed = true
            defer {
                state.idle = []
                state.waiters = []
            }
            return (state.idle, state.waiters)
        }
        for waiter in waiters { waiter.continuation.resume(throwing: Self.closed) }
        for resting in idle { await resting.connection.close() }
    }

    // MARK: - Taking and giving back

    private func take() async throws -> PostgresConnection {
        var grant = try await nextGrant()
        while case .resting(let resting) = grant {
            let isRoundTrip = resting.since.duration(to: .now) > configuration.idleCheck
            if await resting.connection.isHealthy(isRoundTrip: isRoundTrip) {
                return resting.connection
            }
            await resting.connection.close()
            // The place is still ours; another resting connection may be as dead as this one.
            grant = state.withLock { $0.idle.popLast() }.map(Grant.resting) ?? .open
        }
        do {
            return try await PostgresConnection.connect(configuration)
        } catch {
            freePlace()
            throw error
        }
    }

    private func giveBack(_ connection: PostgresConnection) async {
        guard await connection.isHealthy(isRoundTrip: false) else {
            await connection.close()
            freePlace()
            return
        }
        let resting = Resting(connection: connection, since: .now)
        let (waiter, isClosed) = state.withLock { state -> (Waiter?, Bool) in
            if !state.waiters.isEmpty { return (state.waiters.removeFirst(), false) }
            state.taken -= 1
            if !state.isClosed { state.idle.append(resting) }
            return (nil, state.isClosed)
        }
        waiter?.continuation.resume(returning: .resting(resting))
        if isClosed { await connection.close() }
    }

    /// Gives the place of a connection that is gone to the first who waits.
    private func freePlace() {
        let waiter = state.withLock { state -> Waiter? in
            if !state.waiters.isEmpty { return state.waiters.removeFirst() }
            state.taken -= 1
            return nil
        }
        waiter?.continuation.resume(returning: .open)
    }

    private func nextGrant() async throws -> Grant {
        try Task.checkCancellation()
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                admit(Waiter(id: id, continuation: continuation))
            }
        } onCancel: {
            dismiss(id, with: CancellationError())
        }
    }

    private func admit(_ waiter: Waiter) {
        let answer = state.withLock { state -> Result<Grant, any Error>? in
            if state.isClosed { return .failure(Self.closed) }
            if let resting = state.idle.popLast() {
                state.taken += 1
                return .success(.resting(resting))
            }
            if state.taken < configuration.maxConnections {
                state.taken += 1
                return .success(.open)
            }
            state.waiters.append(waiter)
            return nil
        }
        if let answer {
            waiter.continuation.resume(with: answer)
            return
        }
        let (limit, wait) = (configuration.maxConnections, configuration.waitTimeout)
        let deadline = DispatchTime.now() + .milliseconds(wait.milliseconds)
        DispatchQueue.global().asyncAfter(deadline: deadline) { [weak self] in
            let message = "all \(limit) connections of the pool are taken for \(wait)"
            self?.dismiss(waiter.id, with: DatabaseError(sqlState: nil, message: message))
        }
        // A task cancelled before its waiter stood in line was not found there by its handler.
        if Task.isCancelled { dismiss(waiter.id, with: CancellationError()) }
    }

    private func dismiss(_ id: UInt64, with error: any Error) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(throwing: error)
    }

    private static let closed = DatabaseError(sqlState: nil, message: "the pool is closed")
}
