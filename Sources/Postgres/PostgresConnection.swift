import Glibc
import Synchronization

/// One session with the database, as an actor on the loop that all connections share.
///
/// A statement that waits for the server holds no thread. Several callers are served in turn.
/// Cancelling the task that waits for a statement cancels the statement on the server and throws
/// `CancellationError`. Connections come from a `PostgresPool` and do not outlive its closures.
package actor PostgresConnection {
    /// In what state the last statement left the session.
    enum Condition: UInt8, AtomicRepresentable {
        /// Alive and outside of a transaction.
        case clean
        /// Alive, in a transaction.
        case inTransaction
        /// Gone.
        case lost
    }

    /// How long a server may take for a sign of life.
    private static let lifePatience: Duration = .seconds(10)

    nonisolated let openedAt = ContinuousClock.now
    private nonisolated let loop: EventLoop
    private nonisolated let descriptor: Int32
    private nonisolated let lastCondition = Atomic<Condition>(.clean)
    /// Whether a transaction is to begin with the next statement.
    private nonisolated let isToBegin = Atomic<Bool>(false)
    /// What is to be done once the transaction is committed.
    private nonisolated let pending = Mutex<[@Sendable () -> Void]>([])

    private var handle: ServerHandle?
    private var isBusy = false
    private var line: [CheckedContinuation<Void, Never>] = []

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        loop.asUnownedSerialExecutor()
    }

    private init(
        _ session: ServerSession,
        _ configuration: PostgresConfiguration,
        on loop: EventLoop
    ) {
        self.loop = loop
        let handle = ServerHandle(session, configuration, on: loop)
        descriptor = handle.watch.descriptor
        self.handle = handle
    }

    /// Returns a connection to the configuration's database, its session settings in place.
    ///
    /// Throws a `DatabaseError` when the server cannot be reached or refuses, and
    /// `CancellationError` at once when the task is cancelled.
    package static func connect(
        _ configuration: PostgresConfiguration
    ) async throws -> PostgresConnection {
        let loop = try EventLoop.shared.get()
        let session = try await offPoolUnlessCancelled { try ServerSession(configuration) }
        let connection = PostgresConnection(session, configuration, on: loop)
        do {
            try await connection.execute(configuration.sessionSettings)
        } catch var error as DatabaseError where error.isConnectionLoss {
            // The server took it, then went away: another attempt may succeed.
            error.isTransient = true
            throw error
        }
        return connection
    }

    // MARK: - Statements

    /// Runs a statement and returns its rows.
    ///
    /// Throws a `DatabaseError`, or `CancellationError` when the task was cancelled.
    package func query(_ query: Query) async throws -> [Row] {
        try await run([query]).last?.rows ?? []
    }

    /// Runs a statement and returns how many rows it touched.
    ///
    /// Throws a `DatabaseError`, or `CancellationError` when the task was cancelled.
    @discardableResult
    package func execute(_ query: Query) async throws -> Int {
        try await run([query]).last?.affectedRows ?? 0
    }

    /// Runs several statements in one round trip and returns the result of each.
    ///
    /// They run in the open transaction, else in one of their own: an error in one undoes all, and
    /// is thrown. Throws a `DatabaseError`, or `CancellationError` when the task was cancelled.
    @discardableResult
    package func batch(_ queries: [Query]) async throws -> [QueryResult] {
        queries.isEmpty ? [] : try await run(queries)
    }

    /// Runs a trusted text of any number of statements, such as a migration's file.
    ///
    /// Throws a `DatabaseError`, or `CancellationError` when the task was cancelled.
    package func execute(script: String) async throws {
        if isToBegin.load(ordering: .relaxed) { try await batch(["SELECT"]) }
        try await withTurn { handle in
            try await interruptible(handle) { try await handle.run(script: Query(raw: script)) }
        }
    }

    private func run(_ queries: [Query]) async throws -> [QueryResult] {
        try await withTurn { handle in
            guard isToBegin.exchange(false, ordering: .relaxed) else {
                return try await interruptible(handle) { try await handle.run(queries) }
            }
            do {
                let results = try await interruptible(handle) {
                    try await handle.run(["BEGIN"] + queries)
                }
                return Array(results.dropFirst())
            } catch {
                // What was refused before it was sent has begun nothing.
                if !handle.isInTransaction { isToBegin.store(true, ordering: .relaxed) }
                throw error
            }
        }
    }

    /// Calls the body when those who came before are served, and notes how it left the session.
    private func withTurn<R>(_ body: (ServerHandle) async throws -> R) async throws -> R {
        if isBusy {
            await withCheckedContinuation { line.append($0) }
        }
        isBusy = true
        defer {
            note()
            if line.isEmpty { isBusy = false } else { line.removeFirst().resume() }
        }
        guard let handle else { throw Self.closed }
        // A cancellation that came late is not for what comes now.
        _ = handle.watch.beginStatement()
        do {
            return try await body(handle)
        } catch let error as DatabaseError where error.isConnectionLoss {
            self.handle = nil
            throw error
        }
    }

    private func note() {
        let condition: Condition =
            if let handle, handle.isOpen {
                handle.isInTransaction ? .inTransaction : .clean
            } else {
                .lost
            }
        lastCondition.store(condition, ordering: .relaxed)
    }

    /// Calls the body so that the task's cancellation reaches the server.
    private func interruptible<R>(
        _ handle: ServerHandle,
        _ body: () async throws -> R
    ) async throws -> R {
        try Task.checkCancellation()
        let watch = handle.watch
        let statement = watch.beginStatement()
        do {
            return try await withTaskCancellationHandler {
                try await body()
            } onCancel: {
                watch.interrupt(statement)
            }
        } catch let error as DatabaseError
            where error.sqlState == DatabaseError.State.queryCanceled && Task.isCancelled
        {
            throw CancellationError()
        }
    }

    private static var closed: DatabaseError {
        DatabaseError(
            sqlState: nil,
            message: "the connection is closed",
            isConnectionLoss: true
        )
    }

    // MARK: - Transactions

    /// Does something once the transaction is committed, and never where it is rolled back.
    ///
    /// To be called inside a transaction of the pool; it must not wait for anything.
    package nonisolated func afterCommit(_ action: @escaping @Sendable () -> Void) {
        pending.withLock { $0.append(action) }
    }

    /// Lets the next statement begin a transaction, in one round trip with it.
    nonisolated func beginWithNextStatement() {
        _ = takePending()
        isToBegin.store(true, ordering: .relaxed)
    }

    private nonisolated func takePending() -> [@Sendable () -> Void] {
        pending.withLock { actions in
            defer { actions = [] }
            return actions
        }
    }

    /// Commits the transaction, if a statement has begun it, even when the task is cancelled.
    ///
    /// Throws a `DatabaseError`, also when the server could only roll back for an earlier error.
    nonisolated func commit() async throws {
        guard !isToBegin.exchange(false, ordering: .relaxed) else { return }
        guard try await end("COMMIT") else {
            for action in takePending() { action() }
            return
        }
        throw DatabaseError(
            sqlState: DatabaseError.State.transactionRollback,
            message: "the transaction was rolled back, for a statement in it had failed"
        )
    }

    /// Rolls the transaction back, if a statement has begun it, even when the task is cancelled.
    ///
    /// Fails only with its connection, and then the server does it.
    nonisolated func rollBack() async {
        guard !isToBegin.exchange(false, ordering: .relaxed) else { return }
        _ = try? await end("ROLLBACK")
    }

    private func end(_ query: Query) async throws -> Bool {
        try await withTurn { handle in
            try await handle.run([query]).last?.isRollback ?? false
        }
    }

    // MARK: - The session

    /// In what state the last statement left the session.
    nonisolated var condition: Condition { lastCondition.load(ordering: .relaxed) }

    /// Tells whether nothing has come from the server unasked: its farewell, or the end.
    ///
    /// Costs one system call and no change of threads; for the one who has the resting connection.
    nonisolated var isQuiet: Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) < 0
            && (errno == EAGAIN || errno == EWOULDBLOCK)
    }

    /// Asks the server whether the session is alive and outside of a transaction.
    func answers() async -> Bool {
        let answer = try? await withTurn { handle in
            handle.readArrivals()
            guard handle.isOpen, !handle.isInTransaction else { return false }
            _ = try await handle.run(["SELECT 1"], within: Self.lifePatience)
            return true
        }
        return answer ?? false
    }

    /// Asks the server for a sign of life.
    ///
    /// Throws a `DatabaseError` when it gives none in time, and `CancellationError` when cancelled.
    func askForLife() async throws {
        try await withTurn { handle in
            try await interruptible(handle) {
                _ = try await handle.run(["SELECT 1"], within: Self.lifePatience)
            }
        }
    }

    /// Waits for so long, with the session's turn; what comes from the server meanwhile is read.
    ///
    /// Throws a `DatabaseError` when the connection is gone, and `CancellationError` when cancelled.
    func rest(for length: Duration) async throws {
        let deadline = ContinuousClock.now.advanced(by: length)
        try await withTurn { handle in
            try await interruptible(handle) {
                while true {
                    switch await handle.watch.wait(forWriting: false, until: deadline) {
                    case .interrupted: throw CancellationError()
                    case .ready: handle.readArrivals()
                    case .timedOut: return
                    }
                    guard handle.isOpen else { throw handle.connectionError() }
                }
            }
        }
    }

    /// Sets whether answers may take as long as they do, or no longer than the configuration allows.
    func setPatient(_ isPatient: Bool) {
        handle?.isPatient = isPatient
    }

    /// The server's process of this session; nil when closed.
    package var backendID: Int? { handle?.backendID }

    /// What the connection was opened with, as variables that every program over libpq reads.
    var environment: [String: String] { handle?.environment ?? [:] }

    /// Waits until notifications have come, and returns them; none is a sign of life.
    ///
    /// A server that says nothing is asked for one now and then. Throws a `DatabaseError` when the
    /// connection is gone, and `CancellationError` when the task is cancelled.
    func notifications(signOfLifeEvery interval: Duration) async throws -> [PostgresNotification] {
        try await withTurn { handle in
            try await interruptible(handle) {
                let arrived = handle.takeNotifications()
                guard arrived.isEmpty else { return arrived }
                let deadline = ContinuousClock.now.advanced(by: interval)
                switch await handle.watch.wait(forWriting: false, until: deadline) {
                case .interrupted: throw CancellationError()
                case .ready: handle.readArrivals()
                case .timedOut: _ = try await handle.run(["SELECT 1"], within: Self.lifePatience)
                }
                guard handle.isOpen else { throw handle.connectionError() }
                return handle.takeNotifications()
            }
        }
    }

    /// Ends the session; a statement after it throws a `DatabaseError`.
    package func close() {
        handle = nil
        note()
    }
}
