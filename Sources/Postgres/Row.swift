/// One row of a result, read by column name.
package struct Row: Sendable {
    /// The names of the columns, the same storage for every row of a result.
    private let columns: [String]
    private let values: [String?]
    private let sql: String

    init(columns: [String], values: [String?], sql: String) {
        self.columns = columns
        self.values = values
        self.sql = sql
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
        guard let index = columns.firstIndex(of: column) else {
            throw mismatch(
                "no column \(column) in the result (it has \(columns.joined(separator: ", ")))"
            )
        }
        guard let text = values[index] else { return nil }
        guard let value = Value(postgresText: text) else {
            throw mismatch("column \(column) is not a \(Value.self)")
        }
        return value
    }

    private func mismatch(_ message: String) -> DatabaseError {
        DatabaseError(sqlState: nil, message: message, sql: sql)
    }
}

/// What a statement gave.
package struct QueryResult: Sendable {
    /// The rows, empty for a statement that returns none.
    package let rows: [Row]

    /// How many rows the statement inserted, updated, deleted or returned.
    package let affectedRows: Int
}
