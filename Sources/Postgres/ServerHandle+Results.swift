import CLibPQ
import Glibc

extension ServerHandle {
    /// Takes over libpq's result of a statement.
    ///
    /// - Parameters:
    ///   - result: What libpq gave, freed here or with the last of its rows.
    ///   - query: The statement.
    ///   - statement: The prepared statement that gave it, which then knows its columns.
    /// - Returns: The rows and count.
    /// - Throws: `DatabaseError` when the server refused.
    func outcome(
        of result: OpaquePointer,
        _ query: Query,
        _ statement: PreparedStatement?
    ) throws -> QueryResult {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK:
            let columns = statement?.columns ?? Self.columns(of: result)
            statement?.columns = columns
            let affected = affectedRows(result)
            let table = ResultTable(result, columns: columns, sql: query.sql)
            return QueryResult(rows: table.rows, affectedRows: affected)
        case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            defer { PQclear(result) }
            return QueryResult(
                rows: [],
                affectedRows: affectedRows(result),
                isRollback: strcmp(PQcmdStatus(result), "ROLLBACK") == 0
            )
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            PQclear(result)
            // Nobody here speaks COPY; the session ends, for its protocol state is lost.
            shutdown(PQsocket(connection), Int32(SHUT_RDWR))
            throw DatabaseError(
                sqlState: nil,
                message: "COPY is not supported",
                sql: query.sql,
                isConnectionLoss: true
            )
        default:
            defer { PQclear(result) }
            throw serverError(result, query)
        }
    }

    private static func columns(of result: OpaquePointer) -> [String] {
        (0..<PQnfields(result)).map { String(cString: PQfname(result, $0)) }
    }

    private func affectedRows(_ result: OpaquePointer) -> Int {
        Int(atoll(PQcmdTuples(result)))
    }

    private func serverError(_ result: OpaquePointer, _ query: Query) -> DatabaseError {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        return DatabaseError(
            sqlState: field("C"),
            serverMessage: field("M") ?? firstLine(PQresultErrorMessage(result)),
            query: query,
            names: ["s", "t", "c", "d", "n"].compactMap(field),
            constraint: field("n"),
            isConnectionLoss: !isOpen || ["FATAL", "PANIC"].contains(field("V"))
        )
    }

    /// The error of a connection that is gone, with libpq's reason.
    func connectionError(query: Query? = nil) -> DatabaseError {
        let message = "connection lost: \(firstLine(PQerrorMessage(connection)))"
        return DatabaseError(
            sqlState: nil,
            message: query.map { DatabaseError.redacted(message, of: $0) } ?? message,
            sql: query?.sql,
            isConnectionLoss: true
        )
    }
}

extension DatabaseError {
    /// Whether a prepared statement's plan no longer fits, or the server has forgotten it.
    ///
    /// Inside of a transaction that is an error: a table changed under it, as when a newer release moves the
    /// schema. The same transaction passes when it is run again.
    package var isStalePlan: Bool {
        sqlState == State.featureNotSupported || sqlState == State.invalidStatementName
    }
}
