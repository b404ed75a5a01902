import FarmModel
package import FoundationEssentials
import Migrations
import Postgres

/// Facts of the database that tell whether something is wrong with it.
package struct DatabaseFacts: Sendable, Hashable {
    /// The database's time of day when it answered.
    package let now: Date
    /// The schema's steps that this release knows and the database does not have.
    package let missingSteps: [String]
    /// The steps that it has of a newer release.
    package let newerSteps: [String]
    /// Dead and live rows of each hot table.
    package let tables: [String: RowCounts]
    /// The session whose transaction has lasted longest, where that is longer than some minutes.
    package let oldestTransaction: SessionFacts?
    /// Sessions of other programs that hold what the farm's coordinators need.
    package let lockHolders: [LockFacts]
    /// Models of workers that no job has ever named, though jobs name others.
    package let unnamedModels: [UnnamedModel]
}

/// A session of the database server.
package struct SessionFacts: Sendable, Hashable {
    package let processID: Int
    /// The program, as it calls itself.
    package let program: String
    package let seconds: Double
}

/// A session that holds one of the farm's locks.
package struct LockFacts: Sendable, Hashable {
    package let session: SessionFacts
    /// What cannot be done meanwhile.
    package let lock: String
}

/// A model that workers have and no job names.
package struct UnnamedModel: Sendable, Hashable {
    package let digest: String
    package let name: String
    package let workers: [String]
}

extension FarmStore {
    /// How long a transaction may last, in seconds.
    private static let longTransaction = 600.0

    /// Reads the facts; a few short queries.
    package func databaseFacts() async throws -> DatabaseFacts {
        try await pool.withConnection { connection in
            let clock = try await connection.query("SELECT clock_timestamp() AS now").first
            guard let clock else { throw FarmStoreError.vanished("the time of day") }
            let steps = Set(
                try await connection.query("SELECT number FROM migration")
                    .map { try $0.decode("number", as: Int.self) }
            )
            let known = Migrations.all
            let newest = known.map(\.number).max() ?? 0
            return DatabaseFacts(
                now: try clock.decode("now"),
                missingSteps: known.filter { !steps.contains($0.number) }.map(\.name),
                newerSteps: try await connection.query(
                    "SELECT name FROM migration WHERE number > \(newest) ORDER BY number"
                ).map { try $0.decode("name") },
                tables: try await tableCounts(on: connection),
                oldestTransaction: try await oldestTransaction(on: connection),
                lockHolders: try await lockHolders(on: connection),
                unnamedModels: try await unnamedModels(on: connection)
            )
        }
    }

    private func oldestTransaction(on connection: PostgresConnection) async throws -> SessionFacts?
    {
        try await connection.query(
            """
            SELECT pid, application_name AS program,
                extract(epoch FROM now() - xact_start)::double precision AS seconds
            FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND xact_start < now() - make_interval(secs => \(Self.longTransaction))
            ORDER BY xact_start LIMIT 1
            """
        ).first.map(SessionFacts.init)
    }

    private func lockHolders(on connection: PostgresConnection) async throws -> [LockFacts] {
        var names = Dictionary(
            uniqueKeysWithValues: Duty.allCases.map { ($0.rawValue, "the duty \($0.name)") }
        )
        names[AdvisoryLock.migrations] = "migrations"
        names[AdvisoryLock.blobs] = "sweeps of blobs and backups"
        let rows = try await connection.query(
            """
            SELECT pg_locks.pid, coalesce(application_name, '') AS program,
                coalesce(extract(epoch FROM now() - state_change), 0)::double precision AS seconds,
                classid::bigint AS lock
            FROM pg_locks LEFT JOIN pg_stat_activity ON pg_stat_activity.pid = pg_locks.pid
            WHERE locktype = 'advisory' AND granted AND objsubid = 2
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND classid::bigint = ANY(\(names.keys.map { Int64($0) })::bigint[])
                AND objid::bigint = hashtext(current_schema())::bigint & 4294967295
                AND coalesce(application_name, '') NOT LIKE 'dreamfarm%'
                AND pg_locks.pid NOT IN (
                    SELECT badge.pid FROM pg_locks AS badge WHERE badge.locktype = 'advisory'
                        AND badge.granted AND badge.classid::bigint = \(SessionLock.badge)
                )
            ORDER BY classid, pg_locks.pid
            """
        )
        return try rows.map { row in
            LockFacts(
                session: try SessionFacts(row),
                lock: names[try row.decode("lock")] ?? ""
            )
        }
    }

    private func unnamedModels(on connection: PostgresConnection) async throws -> [UnnamedModel] {
        try await connection.query(
            """
            SELECT model_digest, min(model_name) AS model_name,
                array_agg(name ORDER BY name) AS workers
            FROM worker WHERE state NOT IN ('lost', 'quarantined') AND EXISTS (SELECT FROM job)
                AND NOT EXISTS (SELECT FROM job WHERE job.model_digest = worker.model_digest)
            GROUP BY model_digest ORDER BY model_digest
            """
        ).map { row in
            UnnamedModel(
                digest: try row.decode("model_digest"),
                name: try row.decode("model_name"),
                workers: try row.decode("workers")
            )
        }
    }
}

extension SessionFacts {
    fileprivate init(_ row: Row) throws {
        processID = try row.decode("pid")
        program = try row.decode("program")
        seconds = try row.decode("seconds")
    }
}
