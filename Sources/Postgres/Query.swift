/// A statement with its parameters, written as a string literal.
///
/// `"SELECT … WHERE id = \(id)"` becomes the text `… WHERE id = $1` and one bound value, so a value
/// can never be read as SQL. Text that must be SQL carries the label that says so: `\(raw: column)`.
///
/// A session prepares a query once, known again by its text.
package struct Query: Sendable, Hashable {
    /// The SQL text with `$1`, `$2`, … where the values stood.
    package private(set) var sql: String

    /// The values in the server's text form; nil is NULL.
    private(set) var binds: [String?]

    /// Whether the text will not come again, so that preparing it would only take room.
    package var isOneOff = false

    /// Creates a statement without parameters from text that is trusted to be SQL.
    package init(raw sql: String) {
        self.sql = sql
        binds = []
    }
}

extension Query: ExpressibleByStringInterpolation {
    /// The pieces of an interpolated statement, gathered in order.
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var sql = ""
        fileprivate var binds: [String?] = []

        package init(literalCapacity: Int, interpolationCount: Int) {
            sql.reserveCapacity(literalCapacity + 3 * interpolationCount)
            binds.reserveCapacity(interpolationCount)
        }

        /// Appends SQL of the literal itself.
        package mutating func appendLiteral(_ literal: String) {
            sql += literal
        }

        /// Appends a parameter and binds the value to it.
        package mutating func appendInterpolation(_ value: some PostgresEncodable) {
            bind(value.postgresText)
        }

        /// Appends a parameter and binds the value, or NULL, to it.
        package mutating func appendInterpolation(_ value: (some PostgresEncodable)?) {
            bind(value?.postgresText)
        }

        /// Appends trusted SQL as it is.
        package mutating func appendInterpolation(raw text: String) {
            sql += text
        }

        private mutating func bind(_ text: String?) {
            binds.append(text)
            sql += "$\(binds.count)"
        }
    }

    package init(stringLiteral value: String) {
        self.init(raw: value)
    }

    package init(stringInterpolation: StringInterpolation) {
        sql = stringInterpolation.sql
        binds = stringInterpolation.binds
    }
}
