/// One row of a result, read by column name.
///
/// A row keeps the memory of its whole result; read what is needed and let it go.
package struct Row: Sendable {
    private let table: ResultTable
    private let number: Int

    init(table: ResultTable, number: Int) {
        self.table = table
        self.number = number
    }

    /// Returns the column's value.
    ///
    /// Throws a `DatabaseError` when there is no such column, when it is NULL, and when its text is
    /// not a value of the type.
    package func decode<Value: PostgresDecodable>(
        _ column: String,
        as type: Value.Type = Value.self
    ) throws -> Value {
        guard let value = try decodeIfPresent(column, as: type) else {
            throw mismatch("column \(column) is NULL where a \(Value.self) is expected")
        }
        return value
    }

    /// Returns the column's value, nil for NULL.
    ///
    /// Throws a `DatabaseError` when there is no such column and when its text is not a value of
    /// the type.
    package func decodeIfPresent<Value: PostgresDecodable>(
        _ column: String,
        as type: Value.Type = Value.self
    ) throws -> Value? {
        guard let position = table.position(of: column) else {
            throw mismatch(
                "no column \(column) in the result (it has \(table.columns.joined(separator: ", ")))"
            )
        }
        let decoded = table.withValue(row: number, column: position) { bytes in
            Value(postgresBytes: bytes)
        }
        guard let decoded else { return nil }
        guard let value = decoded else { throw mismatch("column \(column) is not a \(Value.self)") }
        return value
    }

    private func mismatch(_ message: String) -> DatabaseError {
        DatabaseError(sqlState: nil, message: message, sql: table.sql)
    }
}

/// What a statement gave.
package struct QueryResult: Sendable {
    /// The rows, empty for a statement that returns none.
    package let rows: [Row]

    /// How many rows the statement inserted, updated, deleted or returned.
    package let affectedRows: Int

    /// Whether the statement rolled a transaction back: what a COMMIT does after an error.
    var isRollback = false
}
