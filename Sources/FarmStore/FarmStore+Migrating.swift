import FarmModel
package import Migrations
import Postgres

extension FarmStore {
    /// Applies the schema's steps that the database lacks, each in a transaction, and returns their
    /// names.
    ///
    /// Several coordinators may call it at once: an advisory lock lets one work, and the others wait
    /// for as long as that takes and find nothing to do. Steps of a newer release are accepted as
    /// long as they state that `binary`, this release's version, still works with them; else throws
    /// `FarmStoreError.newerSchema`.
    package func migrate(
        _ migrations: [Migration] = Migrations.all,
        as binary: String = FarmSettings.version
    ) async throws -> [String] {
        var applied: [String] = []
        try await prepareRecord()
        for migration in migrations where try await apply(migration) {
            applied.append(migration.name)
        }
        try await refuseNewer(than: migrations.map(\.number).max() ?? 0, as: binary)
        return applied
    }

    /// The names of the steps that the database lacks, in order; changes nothing.
    ///
    /// - Throws: ``FarmStoreError/newerSchema(step:oldestBinary:thisBinary:)`` as ``migrate(_:as:)``, and
    ///   the errors of the database.
    package func missingMigrations(
        _ migrations: [Migration] = Migrations.all,
        as binary: String = FarmSettings.version
    ) async throws -> [String] {
        let record = try await pool.query("SELECT to_regclass('migration') IS NOT NULL AS found")
        guard try record.first?.decode("found", as: Bool.self) == true else {
            return migrations.map(\.name)
        }
        try await refuseNewer(than: migrations.map(\.number).max() ?? 0, as: binary)
        let applied = Set(
            try await pool.query("SELECT number FROM migration")
                .map { try $0.decode("number", as: Int.self) }
        )
        return migrations.filter { !applied.contains($0.number) }.map(\.name)
    }

    private func prepareRecord() async throws {
        try await pool.withLongTransaction { connection in
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
            try await connection.execute(
                """
                ALTER TABLE migration
                    ADD COLUMN IF NOT EXISTS oldest_binary text NOT NULL DEFAULT '0.1.0'
                """
            )
        }
    }

    /// Applies a step, unless it was; coordinators of the release before are at work meanwhile, and one that
    /// conflicts with them is tried again.
    private func apply(_ migration: Migration) async throws -> Bool {
        try await pool.withRetries {
            try await pool.withLongTransaction { connection in
                try await Self.lockMigrations(connection)
                let recorded = try await connection.execute(
                    """
                    INSERT INTO migration (number, name, oldest_binary)
                    VALUES (\(migration.number), \(migration.name), \(migration.oldestBinary))
                    ON CONFLICT (number) DO NOTHING
                    """
                )
                guard recorded == 1 else { return false }
                try await connection.execute(script: migration.sql)
                return true
            }
        }
    }

    /// Throws when a step after `known` excludes this binary; what the newest such step states is
    /// named.
    private func refuseNewer(than known: Int, as binary: String) async throws {
        let rows = try await pool.query(
            "SELECT name, oldest_binary FROM migration WHERE number > \(known) ORDER BY number DESC"
        )
        for row in rows {
            let oldest = try row.decode("oldest_binary", as: String.self)
            guard Self.isVersion(binary, before: oldest) else { continue }
            throw FarmStoreError.newerSchema(
                step: try row.decode("name"),
                oldestBinary: oldest,
                thisBinary: binary
            )
        }
    }

    /// Whether a version such as `0.10.0` is older than another, number by number.
    package static func isVersion(_ version: String, before other: String) -> Bool {
        let numbers = [version, other].map { $0.split(separator: ".").map { Int($0) ?? 0 } }
        return numbers[0].lexicographicallyPrecedes(numbers[1])
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
    static let registration = 0x6472_6d20
    /// Held while blobs are swept, and while they are copied to a backup.
    static let blobs = 0x6472_6d21
}

/// What keeps a store from working with a database that answers.
package enum FarmStoreError: Error, Sendable, Hashable {
    /// The database was migrated by a newer release, to a step that this one cannot work with.
    case newerSchema(step: String, oldestBinary: String, thisBinary: String)
    /// A row that the same transaction has seen or made is not there.
    case vanished(String)
}

extension FarmStoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .newerSchema(let step, let oldest, let this):
            """
            the database's schema step \(step) works with release \(oldest) or later, and this is \
            \(this): run release \(oldest) or later
            """
        case .vanished(let what):
            "\(what) is not in the database: rows were removed by hand meanwhile"
        }
    }
}
