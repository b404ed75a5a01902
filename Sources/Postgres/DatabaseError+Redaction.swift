extension DatabaseError {
    /// Creates the error of a message that may repeat parameters of the query.
    ///
    /// - Parameters:
    ///   - sqlState: The SQLSTATE; nil when there is none.
    ///   - serverMessage: The message as the server, or libpq, gave it.
    ///   - query: The statement that it is about.
    ///   - names: Tables, columns, types and constraints that the server names beside the message.
    ///   - constraint: The constraint that refused.
    ///   - isConnectionLoss: Whether the connection is gone.
    init(
        sqlState: String?,
        serverMessage: String,
        query: Query,
        names: [String] = [],
        constraint: String? = nil,
        isConnectionLoss: Bool
    ) {
        let redacted = Self.redacted(serverMessage, of: query, names: names)
        self.init(
            sqlState: sqlState,
            message: redacted.split(separator: "\n").first.map(String.init) ?? "no reason given",
            sql: query.sql,
            constraint: constraint,
            isConnectionLoss: isConnectionLoss
        )
    }

    /// Returns the message with everything that may be a parameter's value taken out.
    ///
    /// Where the query has parameters, a quoted word stays only when it stands in the statement
    /// itself or is a name that the server gave apart; what is a value is replaced wherever it is.
    static func redacted(_ message: String, of query: Query, names: [String] = []) -> String {
        guard query.binds.contains(where: { $0?.isEmpty == false }) else { return message }
        var text = message
        for (index, bind) in query.binds.enumerated() {
            guard let bind, !bind.isEmpty else { continue }
            text.replace("\"\(bind)\"", with: "$\(index + 1)")
            if bind.utf8.count > 3 { text.replace(bind, with: "$\(index + 1)") }
            // An error of one element repeats that, not the array.
            guard bind.hasPrefix("{"), message.utf8.count < 10_000,
                let elements = [String](postgresText: bind)
            else { continue }
            for element in elements where element.utf8.count > 3 {
                text.replace(element, with: "$\(index + 1)")
            }
        }
        return withoutForeignWords(text) { word in
            query.sql.contains(word) || names.contains(word)
        }
    }

    /// Returns the text with everything between its first and last unknown quotation marks left out.
    private static func withoutForeignWords(_ text: String, isKnown: (String) -> Bool) -> String {
        var parts = text.split(separator: "\"", omittingEmptySubsequences: false).map(String.init)
        let quoted = parts.indices.filter { !$0.isMultiple(of: 2) && $0 < parts.count - 1 }
        let isBalanced = !parts.count.isMultiple(of: 2)
        let foreign = quoted.filter { parts[$0].isEmpty || !isKnown(parts[$0]) }
        guard isBalanced, foreign.count <= 1 else {
            // Quotation marks inside of a value cannot be told from those round it.
            guard let first = text.firstIndex(of: "\""), let last = text.lastIndex(of: "\"") else {
                return text
            }
            return text[...first] + "…" + (first < last ? text[last...] : "")
        }
        for index in foreign { parts[index] = "…" }
        return parts.joined(separator: "\"")
    }
}
