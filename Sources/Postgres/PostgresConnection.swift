/// One session with the database, as an actor on a thread of its own.
///
/// libpq blocks; the actor's own executor takes that away from the cooperative pool. Cancelling the
/// task that waits for a statement cancels the statement on the server and throws
/// `CancellationError`. Connections come from a `PostgresPool` and do not outlive its closures.
package actor PostgresConnection {
    private nonisolated let executor = DispatchSerialExecutor(label: "dreamfarm.postgres")
    private nonisolated let signal: CancellationSignal
    private var handle: ServerHandle?
    private var statement: UInt64 = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    private init(signal: CancellationSignal) {
        self.signal = signal
    }

    /// Returns a connection to the configuration's database, its session settings in place.
    ///
    /// Throws a `DatabaseError` when the server cannot be reached or refuses.
    package static func connect(
        _ configuration: PostgresConfiguration
    ) async throws -> PostgresConnection {
        let connection = try PostgresConnection(signal: CancellationSignal())
        try await connection.open(configuration)
        return connection
    }

    private func open(_ configuration: PostgresConfiguration) throws {
        handle = try ServerHandle(configuration)
    }

    /// Runs a statement and returns its rows.
    ///
    /// Throws a `DatabaseError`, or `CancellationError` when the task was cancelled.
    package func query(_ query: Query) async throws -> [Row] {
        try await run(query).rows
    }

    /// Runs a statement and returns how many rows it touched.
    ///
    /// Throws a `DatabaseError`, or `CancellationError` when the task was cancelled.
    @discardableResult
    package func execute(_ query: Query) async throws -> Int {
        try await run(query).affectedRows
    }

    /// Runs a trusted text of any number of statements, such as a migration's file.
    ///
    /// Throws a `DatabaseError`, or `CancellationError` when the task was cancelled.
    package func execute(script: String) async throws {
        _ = try await run(Query(raw: script), isScript: true)
    }

    /// Runs a statement to its end even when the task is cancelled: the end of a transaction.
    func executeShielded(_ query: Query) throws {
        _ = try openHandle().run(query)
    }

    /// Ends the session; a statement after it throws a `DatabaseError`.
    package func close() {
        handle = nil
    }

    /// The server's process of this session; nil when closed.
    package var backendID: Int? { handle?.backendID }

    /// Tells whether the session is alive and outside of a transaction.
    ///
    /// With `isRoundTrip` the server is asked, else only what has arrived from it is looked at.
    func isHealthy(isRoundTrip: Bool) -> Bool {
        guard let handle, handle.isUsable, !handle.isInTransaction else { return false }
        guard isRoundTrip else { return true }
        do {
            _ = try handle.run("SELECT 1")
            return true
        } catch {
            return false
        }
    }

    private func openHandle() throws -> ServerHandle {
        guard let handle else {
            throw DatabaseError(
                sqlState: nil,
                message: "the connection is closed",
                isConnectionLoss: true
            )
        }
        return handle
    }

    private func run(_ query: Query, isScript: Bool = false) async throws -> QueryResult {
        try Task.checkCancellation()
        statement += 1
        let (signal, statement) = (signal, statement)
        do {
            return try await withTaskCancellationHandler {
                try perform(query, isScript: isScript, statement: statement)
            } onCancel: {
                signal.cancel(statement)
            }
        } catch let error as DatabaseError
            where error.sqlState == DatabaseError.State.queryCanceled && Task.isCancelled
        {
            throw CancellationError()
        }
    }

    /// Blocks this actor's thread until the server has answered.
    ///
    /// A method, for the isolation's sake: a closure that captured the handle alone would not be the
    /// actor's, and would block a thread of the cooperative pool.
    private func perform(
        _ query: Query,
        isScript: Bool,
        statement: UInt64
    ) throws -> QueryResult {
        try openHandle().run(query, isScript: isScript, cancellation: (signal, statement))
    }
}
