import Foundation
@testable import Postgres
import TestSupport
import Testing

@Suite(.database) struct RedactionTests {
    @Test(
        "what may be a value is taken out of a message",
        arguments: [
            ("invalid input: \"hunter2\"", "invalid input: $1"),
            ("relation \"hunter2\" of \"farm\"", "relation $1 of \"farm\""),
            ("odd \"hunt\"er2\" end", "odd \"…\" end"),
            ("first \"hunter\" second \"farm\"", "first \"…\" second \"farm\""),
            ("first \"hunter\" and \"unte\"", "first \"…\""),
            ("open \"hunter", "open \"…"),
            ("Key (name)=(hunter2) exists", "Key (name)=($1) exists"),
            ("named apart: \"known_constraint\"", "named apart: \"known_constraint\""),
            ("element secret-element here", "element $2 here"),
        ]
    )
    func messages(message: String, expected: String) {
        let query: Query = """
            SELECT \("hunter2"), \(["one", "secret-element", "with \" \\ all"]) FROM farm
            """
        let redacted = DatabaseError.redacted(message, of: query, names: ["known_constraint"])
        #expect(redacted == expected)
    }

    @Test("a statement without parameters keeps its message")
    func withoutParameters() {
        let message = "syntax error at or near \"FORM\""
        #expect(DatabaseError.redacted(message, of: "SELECT 1 FORM a") == message)
    }

    @Test("no error of the server repeats a parameter", arguments: [false, true])
    func live(inBatch: Bool) async throws {
        let secret = "hunter2 secret\nsecond line of it"
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE account (name text CONSTRAINT account_once UNIQUE)")
        try await pool.execute("INSERT INTO account VALUES (\(secret))")
        try await pool.withConnection {
            try await $0.execute(
                script: """
                    CREATE FUNCTION complain(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                        RAISE EXCEPTION E'no good:\n%', $1 USING DETAIL = $1, HINT = $1;
                    END $$;
                    """
            )
        }
        let cases: [(Query, String)] = [
            ("INSERT INTO account VALUES (\(secret))", "23505"),
            ("SELECT complain(\(secret))", "P0001"),
            ("SELECT \(secret)::integer", "22P02"),
            ("SELECT \(secret)::jsonb", "22P02"),
            ("SELECT \(secret)::timestamptz", "22007"),
            ("SELECT \(secret)::regclass", "42602"),
            ("SELECT \([secret])::uuid[]", "22P02"),
            ("SELECT unnest(\(["hunter2"])::regclass[])", "42P01"),
            ("SELECT set_config('hunter2' || \(secret), '', false)", "42704"),
        ]
        for (query, state) in cases {
            // The second time, the statement is prepared.
            for _ in 0..<2 {
                let error = try await #require(throws: DatabaseError.self) {
                    if inBatch {
                        try await pool.batch(["SELECT 1", query])
                    } else {
                        try await pool.execute(query)
                    }
                }
                #expect(error.sqlState == state)
                let text = "\(error) \(error.message)".replacing(query.sql, with: "")
                #expect(!text.contains("secret"))
                #expect(!text.contains("second line"))
                #expect(query.sql.contains("'hunter2'") || !text.contains("hunter2"))
                #expect(!error.message.contains("\n"))
            }
        }
    }

    @Test("a connection string that cannot be read is not repeated")
    func connectionString() async throws {
        for conninfo in ["postgres:/user:hunter2@host", "host=a password=hunter2 nonsense"] {
            let pool = PostgresPool(PostgresConfiguration(conninfo: conninfo))
            let error = try await #require(throws: DatabaseError.self) {
                try await pool.execute("SELECT 1")
            }
            #expect(error.message.contains("cannot connect"))
            #expect(!"\(error)".contains("hunter2"))
        }
    }
}
