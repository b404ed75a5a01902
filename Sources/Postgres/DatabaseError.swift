/// What the database, or the way to it, refused.
///
/// The description names the SQLSTATE, the server's message and the statement. Values of parameters
/// never stand in it: where the server repeats one in its message, it is replaced by `$n` or `…`.
package struct DatabaseError: Error, Sendable {
    /// The five characters of the SQLSTATE; nil when the server did not send one.
    package let sqlState: String?

    /// The first line of the server's message, or of libpq's, without values of parameters.
    package let message: String

    /// The statement with `$n` for its parameters; nil outside of a statement.
    package let sql: String?

    /// The constraint that refused, when one did.
    package let constraint: String?

    /// Tells whether the connection is gone, so that the same statement may succeed on another.
    ///
    /// What the statement did before the connection was lost is not known.
    package let isConnectionLoss: Bool

    /// Whether an attempt to connect that failed may succeed later.
    var isTransient: Bool

    init(
        sqlState: String?,
        message: String,
        sql: String? = nil,
        constraint: String? = nil,
        isConnectionLoss: Bool = false,
        isTransient: Bool = false
    ) {
        self.sqlState = sqlState
        self.message = message
        self.sql = sql
        self.constraint = constraint
        self.isConnectionLoss = isConnectionLoss
        self.isTransient = isTransient
    }
}

extension DatabaseError {
    /// SQLSTATEs that callers tell apart.
    package enum State {
        package static let uniqueViolation = "23505"
        package static let checkViolation = "23514"
        package static let queryCanceled = "57014"
        package static let adminShutdown = "57P01"
        package static let invalidTextRepresentation = "22P02"
        package static let tooManyConnections = "53300"
        package static let undefinedTable = "42P01"
        package static let featureNotSupported = "0A000"
        package static let invalidStatementName = "26000"
        package static let failedTransaction = "25P02"
        package static let transactionRollback = "40000"
        package static let serializationFailure = "40001"
        package static let deadlockDetected = "40P01"
    }

    /// Whether the server ended the transaction to resolve a conflict with others, so that the same
    /// transaction may pass when it is run again.
    package var isConflict: Bool {
        sqlState == State.deadlockDetected || sqlState == State.serializationFailure
    }
}

extension DatabaseError: CustomStringConvertible {
    package var description: String {
        var text = "database: \(message)"
        if let sqlState { text += " [\(sqlState)]" }
        if let sql {
            let oneLine = sql.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            text += " in: \(oneLine)"
        }
        return text
    }
}
