import CLibPQ
import Glibc

/// The talk with the server over one libpq connection; nothing in it blocks.
///
/// The connection stays in libpq's pipeline mode: statements go out together, each with its `Parse`
/// where it is new, and their answers are read in order. Not thread-safe.
final class ServerHandle {
    let watch: SocketWatch
    private let session: ServerSession
    private let loop: EventLoop
    let cancelRequest: CancelRequest
    private var prepared: PreparedStatements

    /// The longest wait for an answer by the configuration; nil is for ever.
    private let usualPatience: Duration?

    /// Whether answers may take as long as they do, whatever the configuration says.
    var isPatient = false

    private var patience: Duration? { isPatient ? nil : usualPatience }

    var connection: OpaquePointer { session.pointer }

    init(_ session: ServerSession, _ configuration: PostgresConfiguration, on loop: EventLoop) {
        self.session = session
        self.loop = loop
        watch = loop.watch(PQsocket(session.pointer))
        cancelRequest = CancelRequest(session)
        prepared = PreparedStatements(limit: configuration.preparedStatements)
        let limit = configuration.statementTimeout
        usualPatience = limit == .zero ? nil : limit + Wait.answerGrace
        PQsetnonblocking(session.pointer, 1)
        PQenterPipelineMode(session.pointer)
    }

    deinit {
        loop.remove(watch, isOpen: isSocketOpen)
    }

    // MARK: - State

    /// Tells whether the connection can take a statement, as far as this side knows.
    var isOpen: Bool { PQstatus(connection) == CONNECTION_OK }

    /// Tells whether the watched socket is still libpq's, which closes it when it finds the end.
    var isSocketOpen: Bool { PQsocket(connection) == watch.descriptor }

    /// Tells whether a transaction is open or broken.
    var isInTransaction: Bool { PQtransactionStatus(connection) != PQTRANS_IDLE }

    /// The server's process that serves this connection.
    var backendID: Int { Int(PQbackendPID(connection)) }

    /// Reads what the server has sent meanwhile, so that a session that it ended is noticed.
    func readArrivals() {
        // The first read takes the server's farewell, the second finds the end after it.
        guard PQconsumeInput(connection) == 1 else { return }
        PQconsumeInput(connection)
    }

    /// Takes the notifications that have been read.
    func takeNotifications() -> [PostgresNotification] {
        var notifications: [PostgresNotification] = []
        while let next = PQnotifies(connection) {
            notifications.append(
                PostgresNotification(
                    channel: String(cString: next.pointee.relname),
                    payload: String(cString: next.pointee.extra)
                )
            )
            PQfreemem(next)
        }
        return notifications
    }

    // MARK: - Statements

    /// What is sent, each of which the server answers.
    fileprivate enum Step {
        case prepare(PreparedStatement, Query)
        case run(PreparedStatement?, Query)
        case deallocate(String)
        case sync
    }

    /// Runs statements in one round trip and one transaction: the open one, else one of their own.
    ///
    /// A statement whose plan the server has dropped is prepared again, outside of a transaction
    /// and where `BEGIN` is among the statements without the caller's notice.
    ///
    /// - Parameters:
    ///   - queries: The statements, at least one.
    ///   - patience: The longest wait for an answer where it is not the usual one.
    /// - Returns: The result of each.
    /// - Throws: `DatabaseError`, that of the first statement that was refused.
    func run(_ queries: [Query], within patience: Duration? = nil) async throws -> [QueryResult] {
        let patience = patience ?? self.patience
        try checkParameters(queries)
        let mayRepeat = !isInTransaction
        let (steps, old) = steps(of: queries)
        do {
            return try await converse(steps, patience)
        } catch let error as DatabaseError where error.isStalePlan && !old.isEmpty {
            if error.sqlState == DatabaseError.State.invalidStatementName {
                prepared.forgetAll()
            } else {
                for statement in old { prepared.forget(statement) }
            }
            guard mayRepeat else { throw error }
        }
        if isInTransaction { _ = try await converse(self.steps(of: ["ROLLBACK"]).steps, patience) }
        return try await converse(self.steps(of: queries).steps, patience)
    }

    private func checkParameters(_ queries: [Query]) throws {
        for query in queries where query.binds.contains(where: { $0?.hasNUL == true }) {
            throw DatabaseError(
                sqlState: "22021",
                message: "a text parameter contains a NUL character",
                sql: query.sql
            )
        }
    }

    /// Returns what is to be sent, and the statements in it that were prepared before.
    private func steps(of queries: [Query]) -> (steps: [Step], old: [PreparedStatement]) {
        var steps: [Step] = []
        var old: [PreparedStatement] = []
        for query in queries {
            guard let statement = prepared.statement(for: query) else {
                steps.append(.run(nil, query))
                continue
            }
            if statement.isPrepared {
                old.append(statement)
            } else if !steps.contains(where: { $0.prepares(statement) }) {
                steps.append(.prepare(statement, query))
            }
            steps.append(.run(statement, query))
        }
        steps.append(.sync)
        guard !prepared.doomed.isEmpty else { return (steps, old) }
        // After the statements, each with a sync of its own, so that what becomes of one is nothing
        // to them and nothing to the next.
        return (steps + prepared.doomed.flatMap { [.deallocate($0), .sync] }, old)
    }

    private func converse(
        _ steps: [Step],
        _ patience: Duration?
    ) async throws -> [QueryResult] {
        guard isOpen else { throw connectionError() }
        for step in steps {
            guard send(step) == 1 else { throw connectionError() }
        }
        var wait = Wait(patience)
        try await flush(&wait)
        var results: [QueryResult] = []
        var failure: DatabaseError?
        for step in steps {
            guard let result = try await nextResult(&wait) else {
                throw failure ?? connectionError(query: step.query)
            }
            do {
                if let result = try take(result, of: step) { results.append(result) }
            } catch let error as DatabaseError {
                // What follows the first error was skipped; nothing may hide it.
                failure = failure ?? error
                if error.isConnectionLoss { throw error }
            }
            if case .sync = step { continue }
            // The end of the statement's results.
            while let more = try await nextResult(&wait) { PQclear(more) }
        }
        if let failure { throw failure }
        return results
    }

    private func send(_ step: Step) -> Int32 {
        switch step {
        case .prepare(let statement, let query):
            PQsendPrepare(connection, statement.name, query.sql, 0, nil)
        case .run(let statement?, let query):
            withCStrings(query.binds) { values in
                PQsendQueryPrepared(
                    connection,
                    statement.name,
                    Int32(values.count),
                    values,
                    nil,
                    nil,
                    0
                )
            }
        case .run(nil, let query):
            withCStrings(query.binds) { values in
                PQsendQueryParams(
                    connection,
                    query.sql,
                    Int32(values.count),
                    nil,
                    values,
                    nil,
                    nil,
                    0
                )
            }
        case .deallocate(let name):
            PQsendQueryParams(connection, "DEALLOCATE \(name)", 0, nil, nil, nil, nil, 0)
        case .sync:
            PQpipelineSync(connection)
        }
    }

    /// Takes the answer to a step over; returns the result of a statement.
    private func take(_ result: OpaquePointer, of step: Step) throws -> QueryResult? {
        switch step {
        case .sync:
            PQclear(result)
        case .deallocate(let name):
            defer { PQclear(result) }
            let state = PQresultErrorField(result, Int32(UInt8(ascii: "C")))
            // A transaction that has failed refuses this too, and it is for a later statement.
            if state.map({ String(cString: $0) }) != DatabaseError.State.failedTransaction {
                prepared.doomed.removeAll { $0 == name }
            }
        case .prepare(let statement, let query):
            prepared.note(statement, isPrepared: PQresultStatus(result) == PGRES_COMMAND_OK)
            _ = try outcome(of: result, query, nil)
        case .run(let statement, let query):
            return try outcome(of: result, query, statement)
        }
        return nil
    }

    /// Runs a text of any number of statements without parameters.
    func run(script: Query) async throws {
        guard isOpen else { throw connectionError() }
        PQexitPipelineMode(connection)
        defer { PQenterPipelineMode(connection) }
        guard PQsendQuery(connection, script.sql) == 1 else { throw connectionError() }
        var wait = Wait(patience)
        try await flush(&wait)
        var failure: DatabaseError?
        while let result = try await nextResult(&wait) {
            do {
                _ = try outcome(of: result, script, nil)
            } catch let error as DatabaseError {
                failure = failure ?? error
                if error.isConnectionLoss { throw error }
            }
        }
        if let failure { throw failure }
    }
}

extension String {
    /// Whether a NUL stands in the text, where libpq would take it for the end.
    fileprivate var hasNUL: Bool {
        let found = utf8.withContiguousStorageIfAvailable { bytes in
            bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false
        }
        return found ?? utf8.contains(0)
    }
}

extension ServerHandle.Step {
    fileprivate var query: Query? {
        switch self {
        case .prepare(_, let query), .run(_, let query): query
        case .deallocate, .sync: nil
        }
    }

    fileprivate func prepares(_ statement: PreparedStatement) -> Bool {
        guard case .prepare(let prepared, _) = self else { return false }
        return prepared === statement
    }
}
