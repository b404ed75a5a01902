import CLibPQ
import Glibc

/// A libpq connection: the one place that calls libpq.
///
/// Every call may block; the owner runs them on a thread made for it. Not thread-safe.
final class ServerHandle {
    /// How often a cancel request is repeated until the server answers: the server forgets a request
    /// that overtakes its statement.
    private static let cancelRepeatMilliseconds: Int32 = 100

    /// What the client waits beyond the server's own statement time-out before it gives up on a
    /// server that does not answer at all.
    private static let answerGraceMilliseconds = 15_000

    private let connection: OpaquePointer

    /// The longest wait for an answer; nil is for ever.
    private let answerMilliseconds: Int?

    /// Connects and sets what every session has.
    init(_ configuration: PostgresConfiguration) throws {
        let timeout = max(2, (configuration.connectTimeout.milliseconds + 999) / 1000)
        // Keys after `dbname` override the connection string, keys before it are its defaults.
        let parameters: [(String, String)] = [
            ("connect_timeout", String(timeout)),
            ("keepalives_idle", "30"),
            ("tcp_user_timeout", "30000"),
            ("fallback_application_name", configuration.applicationName),
            ("dbname", configuration.conninfo),
            ("client_encoding", "UTF8"),
        ]
        let opened = withCStrings(parameters.map(\.0)) { keys in
            withCStrings(parameters.map(\.1)) { values in
                PQconnectdbParams(keys + [nil], values + [nil], 1)
            }
        }
        guard let opened else {
            throw DatabaseError(sqlState: nil, message: "out of memory for a connection")
        }
        connection = opened
        let limit = configuration.statementTimeout.milliseconds
        answerMilliseconds = limit == 0 ? nil : limit + Self.answerGraceMilliseconds
        PQsetNoticeProcessor(opened, { _, _ in }, nil)
        guard PQstatus(opened) == CONNECTION_OK else {
            throw DatabaseError(
                sqlState: nil,
                message: "cannot connect: \(firstLine(PQerrorMessage(opened)))",
                isConnectionLoss: true
            )
        }
        try prepareSession(configuration)
    }

    deinit {
        PQfinish(connection)
    }

    private func prepareSession(_ configuration: PostgresConfiguration) throws {
        let statementTimeout = String(configuration.statementTimeout.milliseconds)
        let idleTimeout = String(configuration.idleInTransactionTimeout.milliseconds)
        _ = try run(
            """
            SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false),
                set_config('statement_timeout', \(statementTimeout), false),
                set_config('idle_in_transaction_session_timeout', \(idleTimeout), false)
            """
        )
        if let schema = configuration.searchPath {
            let quoted = "\"\(schema.replacing("\"", with: "\"\""))\""
            _ = try run("SELECT set_config('search_path', \(quoted), false)")
        }
    }

    /// Tells whether the connection can take a statement, as far as this side knows.
    ///
    /// Reads what the server has sent meanwhile, so that a session that it ended is noticed.
    var isUsable: Bool {
        // The first read takes the server's farewell, the second finds the end after it.
        PQconsumeInput(connection) == 1 && PQconsumeInput(connection) == 1
            && PQstatus(connection) == CONNECTION_OK
    }

    /// Tells whether a transaction is open or broken.
    var isInTransaction: Bool {
        PQtransactionStatus(connection) != PQTRANS_IDLE
    }

    /// The server's process that serves this connection.
    var backendID: Int { Int(PQbackendPID(connection)) }

    /// Runs one statement, or with `isScript` several without parameters, and waits for the end.
    ///
    /// - Parameters:
    ///   - query: The statement.
    ///   - isScript: Whether the text may hold several statements.
    ///   - cancellation: What tells that the statement is to be cancelled, and its number.
    /// - Returns: The rows and count of the last statement.
    /// - Throws: `DatabaseError`.
    func run(
        _ query: Query,
        isScript: Bool = false,
        cancellation: (signal: CancellationSignal, statement: UInt64)? = nil
    ) throws -> QueryResult {
        guard !query.binds.contains(where: { $0?.utf8.contains(0) == true }) else {
            throw DatabaseError(
                sqlState: "22021",
                message: "a text parameter contains a NUL character",
                sql: query.sql
            )
        }
        let isSent =
            isScript
            ? PQsendQuery(connection, query.sql)
            : withCStrings(query.binds) { values in
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
        guard isSent == 1 else { throw connectionError(query) }
        var outcome: Result<QueryResult, DatabaseError> = .success(
            QueryResult(rows: [], affectedRows: 0)
        )
        while let result = try nextResult(of: query, cancellation) {
            defer { PQclear(result) }
            // After an error the server skips the rest; nothing may hide it.
            guard case .success = outcome else { continue }
            outcome = try outcomeOf(result, query)
        }
        return try outcome.get()
    }

    /// Waits for the statement's next result, nil at its end; sends cancel requests when asked to.
    private func nextResult(
        of query: Query,
        _ cancellation: (signal: CancellationSignal, statement: UInt64)?
    ) throws -> OpaquePointer? {
        let start = ContinuousClock.now
        var isCancelled = false
        while PQisBusy(connection) == 1 {
            var descriptors = [
                pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: isCancelled ? -1 : cancellation?.signal.descriptor ?? -1,
                    events: Int16(POLLIN),
                    revents: 0
                ),
            ]
            let elapsed = start.duration(to: .now).milliseconds
            let remaining = answerMilliseconds.map { max(0, $0 - elapsed) }
            let wait = remaining.map { Int32(clamping: $0) } ?? -1
            let ready = poll(
                &descriptors,
                2,
                isCancelled ? Self.cancelRepeatMilliseconds : wait
            )
            if let cancellation, !isCancelled, descriptors[1].revents != 0 {
                isCancelled = cancellation.signal.takeCancellation(of: cancellation.statement)
                if isCancelled { sendCancel() }
            } else if ready == 0, isCancelled {
                sendCancel()
            }
            if let remaining, remaining == 0 {
                shutdown(PQsocket(connection), Int32(SHUT_RDWR))
            }
            guard PQconsumeInput(connection) == 1 else {
                // The server's reason may have come before the end of the connection.
                guard PQisBusy(connection) == 0 else { throw connectionError(query) }
                break
            }
        }
        return PQgetResult(connection)
    }

    private func sendCancel() {
        guard let cancel = PQgetCancel(connection) else { return }
        defer { PQfreeCancel(cancel) }
        // A request that fails is repeated by the caller; its message has no reader.
        var message = [CChar](repeating: 0, count: 256)
        PQcancel(cancel, &message, Int32(message.count))
    }

    private func outcomeOf(
        _ result: OpaquePointer,
        _ query: Query
    ) throws -> Result<QueryResult, DatabaseError> {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            return .success(
                QueryResult(
                    rows: rows(of: result, query),
                    affectedRows: Int(String(cString: PQcmdTuples(result))) ?? 0
                )
            )
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            // Nobody here speaks COPY; the session ends, for its protocol state is lost.
            shutdown(PQsocket(connection), Int32(SHUT_RDWR))
            throw DatabaseError(
                sqlState: nil,
                message: "COPY is not supported",
                sql: query.sql,
                isConnectionLoss: true
            )
        default:
            return .failure(serverError(result, query))
        }
    }

    private func rows(of result: OpaquePointer, _ query: Query) -> [Row] {
        let columnCount = PQnfields(result)
        let columns = (0..<columnCount).map { String(cString: PQfname(result, $0)) }
        return (0..<PQntuples(result)).map { row in
            let values = (0..<columnCount).map { column -> String? in
                PQgetisnull(result, row, column) == 1
                    ? nil : String(cString: PQgetvalue(result, row, column))
            }
            return Row(columns: columns, values: values, sql: query.sql)
        }
    }

    private func serverError(_ result: OpaquePointer, _ query: Query) -> DatabaseError {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        let isLost = PQstatus(connection) != CONNECTION_OK
        return DatabaseError(
            sqlState: field("C"),
            serverMessage: field("M") ?? firstLine(PQresultErrorMessage(result)),
            query: query,
            constraint: field("n"),
            isConnectionLoss: isLost || field("C")?.hasPrefix("57P") == true
        )
    }

    private func connectionError(_ query: Query) -> DatabaseError {
        DatabaseError(
            sqlState: nil,
            serverMessage: "connection lost: \(firstLine(PQerrorMessage(connection)))",
            query: query,
            constraint: nil,
            isConnectionLoss: true
        )
    }
}

/// Tells whether a server of this connection string takes connections now.
func serverAcceptsConnections(_ conninfo: String) -> Bool {
    PQping(conninfo) == PQPING_OK
}

private func firstLine(_ text: UnsafePointer<CChar>?) -> String {
    guard let text else { return "no reason given" }
    let lines = String(cString: text).split(separator: "\n")
    return lines.first.map(String.init) ?? "no reason given"
}

/// Calls the body with NUL-terminated copies of the strings that live as long as the call.
func withCStrings<R>(
    _ strings: [String?],
    _ body: ([UnsafePointer<CChar>?]) throws -> R
) rethrows -> R {
    var bytes: [CChar] = []
    var offsets: [Int?] = []
    for string in strings {
        guard let string else {
            offsets.append(nil)
            continue
        }
        offsets.append(bytes.count)
        bytes.append(contentsOf: string.utf8.map { CChar(bitPattern: $0) })
        bytes.append(0)
    }
    return try bytes.withUnsafeBufferPointer { buffer in
        try body(
            offsets.map { offset in
                offset.flatMap { buffer.baseAddress?.advanced(by: $0) }
            }
        )
    }
}
