import CLibPQ
import Synchronization

/// The rows of one result, in libpq's memory until the last of them is gone.
///
/// Sendable, for a complete `PGresult` does not change and libpq allows any thread to read it.
final class ResultTable: @unchecked Sendable {
    let columns: [String]
    let sql: String
    private let result: OpaquePointer

    /// Where the next column is looked for first: most callers read columns in their order.
    private let guess = Atomic<Int>(0)

    /// Takes over the result.
    init(_ result: OpaquePointer, columns: [String], sql: String) {
        self.result = result
        self.columns = columns
        self.sql = sql
    }

    deinit {
        PQclear(result)
    }

    var rows: [Row] {
        (0..<Int(PQntuples(result))).map { Row(table: self, number: $0) }
    }

    /// Returns the column's position; nil when there is no such column.
    func position(of column: String) -> Int? {
        let expected = guess.load(ordering: .relaxed)
        let position =
            expected < columns.count && columns[expected] == column
            ? expected : columns.firstIndex(of: column)
        guard let position else { return nil }
        guess.store(position + 1 < columns.count ? position + 1 : 0, ordering: .relaxed)
        return position
    }

    /// Calls the body with a value's text; nil for NULL.
    func withValue<R>(row: Int, column: Int, _ body: (Span<UInt8>) -> R) -> R? {
        let (row, column) = (Int32(row), Int32(column))
        guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column)
        else { return nil }
        let length = Int(PQgetlength(result, row, column))
        // The memory lives as long as this table, which outlives the call.
        return value.withMemoryRebound(to: UInt8.self, capacity: length) { bytes in
            body(UnsafeBufferPointer(start: bytes, count: length).span)
        }
    }
}
