import Migrations
import Postgres

extension FarmStore {
    /// Applies the schema's steps that the database lacks, each in a transaction, and returns their
    /// names.
    ///
    /// Several coordinators may call it at once: an advisory lock lets one work and the others find
    /// nothing to do. Throws `FarmStoreError.newerSchema` when the database has steps that this
    /// release does not know.
    package func migrate() async throws -> [String] {
        var applied: [String] = []
        try await prepareRecord()
        for migration in Migrations.all where try await apply(migration) {
            applied.append(migration.name)
        }
        let known = Migrations.all.map(\.number).max() ?? 0
        let rows = try await pool.query(
            "SELECT name FROM migration WHERE number > \(known) ORDER BY number LIMIT 1"
        )
        if let row = rows.first { throw FarmStoreError.newerSchema(step: try row.decode("name")) }
        return applied
    }

    private func prepareRecord() async throws {
        try await pool.withTransaction { connection in
            try await Self.lockMigrations(connection)
            try await connection.execute(
                """
                CREATE TABLE IF NOT EXISTS migration (
                    number integer PRIMARY KEY,
                    name text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now()
                )
                """
            )
        }
    }

    private func apply(_ migration: Migration) async throws -> Bool {
        try await pool.withTransaction { connection in
            try await Self.lockMigrations(connection)
            let recorded = try await connection.execute(
                """
                INSERT INTO migration (number, name) VALUES (\(migration.number), \(migration.name))
                ON CONFLICT (number) DO NOTHING
                """
            )
            guard recorded == 1 else { return false }
            // Steps may take longer than a statement of the farm may.
            try await connection.execute("SET LOCAL statement_timeout = 0")
            try await connection.execute(script: migration.sql)
            return true
        }
    }

    private static func lockMigrations(_ connection: PostgresConnection) async throws {
        try await connection.execute(
            "SELECT pg_advisory_xact_lock(\(AdvisoryLock.migrations), hashtext(current_schema()))"
        )
    }
}

/// The first keys of the farm's advisory locks; the second is the schema's hash.
enum AdvisoryLock {
    static let migrations = 0x6472_6d01
    static let expiry = 0x6472_6d02
}

/// What keeps a store from working with a database that answers.
package enum FarmStoreError: Error, Sendable, Hashable {
    /// The database was migrated by a newer release.
    case newerSchema(step: String)
    /// A row that the same transaction has seen or made is not there.
    case vanished(String)
}

extension FarmStoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .newerSchema(let step):
            "the database has the schema step \(step) of a newer release: run that release"
        case .vanished(let what):
            "\(what) is not in the database: rows were removed by hand meanwhile"
        }
    }
}
