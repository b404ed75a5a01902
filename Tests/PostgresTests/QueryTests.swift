import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.database) struct QueryTests {
    @Test("an interpolated value becomes a parameter, raw text stays SQL")
    func interpolation() {
        let query: Query = "SELECT \(raw: "name") FROM job WHERE id = \(7) AND owner = \("x'; --")"
        #expect(query.sql == "SELECT name FROM job WHERE id = $1 AND owner = $2")
    }

    @Test("values come back as they were sent")
    func roundTrip() async throws {
        let id = UUID()
        let moment = Date(timeIntervalSince1970: 1_795_451_669.123456)
        let absent: String? = nil
        let rows = try await TestDatabase.pool().query(
            """
            SELECT \(id)::uuid AS id, \(moment)::timestamptz AS moment, \(absent)::text AS absent,
                \(Int64.min)::bigint AS number, \(true)::boolean AS flag,
                \(0.1)::double precision AS real, \("é\n\\\"'")::text AS text,
                \(["a,b", "", "\"\\", "{}"])::text[] AS texts, \([Int]())::bigint[] AS none
            """
        )
        let row = try #require(rows.first)
        #expect(try row.decode("id") == id)
        let decoded = try row.decode("moment", as: Date.self)
        #expect(abs(decoded.timeIntervalSince(moment)) < 0.000_002)
        #expect(try row.decodeIfPresent("absent", as: String.self) == nil)
        #expect(try row.decode("number") == Int64.min)
        #expect(try row.decode("flag") == true)
        #expect(try row.decode("real") == 0.1)
        #expect(try row.decode("text") == "é\n\\\"'")
        #expect(try row.decode("texts") == ["a,b", "", "\"\\", "{}"])
        #expect(try row.decode("none") == [Int]())
    }

    @Test(
        "a date's text names its moment",
        arguments: [
            (0, "1970-01-01 00:00:00.000000+00"),
            (-1, "1969-12-31 23:59:59.000000+00"),
            (951_782_399, "2000-02-28 23:59:59.000000+00"),
            (951_782_400, "2000-02-29 00:00:00.000000+00"),
            (4_107_542_399, "2100-02-28 23:59:59.000000+00"),
        ]
    )
    func dates(seconds: Int, text: String) throws {
        let date = Date(timeIntervalSince1970: Double(seconds))
        #expect(date.postgresText == text)
        #expect(try #require(Date(postgresText: text)) == date)
    }

    @Test("an absent column, NULL and a wrong type are errors that name the column")
    func badColumns() async throws {
        let row = try #require(
            try await TestDatabase.pool().query("SELECT NULL AS nothing, 'abc' AS word").first
        )
        let absent = try #require(throws: DatabaseError.self) {
            try row.decode("other", as: Int.self)
        }
        #expect(absent.message == "no column other in the result (it has nothing, word)")
        let null = try #require(throws: DatabaseError.self) {
            try row.decode("nothing", as: Int.self)
        }
        #expect(null.message == "column nothing is NULL where a Int is expected")
        let wrong = try #require(throws: DatabaseError.self) {
            try row.decode("word", as: Int.self)
        }
        #expect(wrong.message == "column word is not a Int")
    }

    @Test("an error names state and statement, never the parameters")
    func errorHidesParameters() async throws {
        let secret = "hunter2-secret"
        let pool = try TestDatabase.pool()
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.query("SELECT \(secret)::integer AS n")
        }
        #expect(error.sqlState == DatabaseError.State.invalidTextRepresentation)
        #expect(error.sql == "SELECT $1::integer AS n")
        #expect("\(error)".contains("[22P02] in: SELECT $1::integer AS n"))
        #expect(!"\(error)".contains(secret))

        try await pool.execute("CREATE TABLE account (name text CONSTRAINT account_once UNIQUE)")
        try await pool.execute("INSERT INTO account VALUES (\(secret))")
        let double = try await #require(throws: DatabaseError.self) {
            try await pool.execute("INSERT INTO account VALUES (\(secret))")
        }
        #expect(double.sqlState == DatabaseError.State.uniqueViolation)
        #expect(double.constraint == "account_once")
        #expect(!"\(double)".contains(secret))
    }

    @Test("a NUL in a text is refused, not cut off")
    func nul() async throws {
        let pool = try TestDatabase.pool()
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.query("SELECT \("a\0b")::text AS t")
        }
        #expect(error.message == "a text parameter contains a NUL character")
    }

    @Test("a script runs all its statements, and none after an error counts")
    func script() async throws {
        let pool = try TestDatabase.pool()
        try await pool.withConnection { connection in
            try await connection.execute(
                script: "CREATE TABLE a (n int); INSERT INTO a VALUES (1), (2);"
            )
            let error = try await #require(throws: DatabaseError.self) {
                try await connection.execute(script: "INSERT INTO a VALUES (3); SELECT nope;")
            }
            #expect(error.sqlState == "42703")
        }
        let rows = try await pool.query("SELECT count(*) AS n FROM a")
        #expect(try rows.first?.decode("n") == 2)
    }

    @Test("COPY is refused and does not hang")
    func copy() async throws {
        let pool = try TestDatabase.pool()
        let error = try await #require(throws: DatabaseError.self) {
            try await pool.withConnection {
                try await $0.execute(script: "COPY pg_class TO STDOUT")
            }
        }
        #expect(error.message == "COPY is not supported")
        #expect(try await pool.query("SELECT 1 AS one").first?.decode("one") == 1)
    }
}
