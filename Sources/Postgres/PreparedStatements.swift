/// A statement as one session knows it.
final class PreparedStatement {
    /// The name on the server, used once and never again.
    let name: String
    let sql: String

    /// Whether the server has it; until then it is only a text that was seen.
    fileprivate(set) var isPrepared = false

    fileprivate var isForgotten = false

    /// The columns of its result, once a result has come; the server sees to it that they stay.
    var columns: [String]?

    fileprivate var lastUse: UInt64 = 0

    fileprivate init(name: String, sql: String) {
        self.name = name
        self.sql = sql
    }
}

/// The statements of one session by their text, so many at most; the one unused for longest goes.
struct PreparedStatements {
    private let limit: Int
    private var statements: [String: PreparedStatement] = [:]
    private var uses: UInt64 = 0
    private var names: UInt64 = 0

    /// Names that the server still has and nobody will use.
    var doomed: [String] = []

    init(limit: Int) {
        self.limit = limit
    }

    /// Returns the statement to run the query by; nil for one to be run without a name.
    ///
    /// A query with parameters comes again and is prepared when it first comes. One without may be
    /// any text, and is prepared when it comes a second time.
    mutating func statement(for query: Query) -> PreparedStatement? {
        guard limit > 0, !query.isOneOff else { return nil }
        uses += 1
        if let known = statements[query.sql] {
            known.lastUse = uses
            return known
        }
        if statements.count >= limit,
            let oldest = statements.values.min(by: { $0.lastUse < $1.lastUse })
        {
            forget(oldest)
        }
        names += 1
        let new = PreparedStatement(name: "farm\(names)", sql: query.sql)
        new.lastUse = uses
        statements[query.sql] = new
        return query.binds.isEmpty ? nil : new
    }

    /// Drops a statement, here and with the next statement on the server.
    mutating func forget(_ statement: PreparedStatement) {
        guard statements[statement.sql] === statement else { return }
        statements[statement.sql] = nil
        statement.isForgotten = true
        if statement.isPrepared { doomed.append(statement.name) }
    }

    /// Notes whether the server took the statement.
    mutating func note(_ statement: PreparedStatement, isPrepared: Bool) {
        statement.isPrepared = isPrepared
        // Many new statements at once can push one out before its answer.
        if isPrepared, statement.isForgotten { doomed.append(statement.name) }
    }

    /// Drops all, for the server has.
    mutating func forgetAll() {
        statements = [:]
        doomed = []
    }
}
