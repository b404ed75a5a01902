package import FarmModel
import Postgres

/// One moment of the database, from which a backup is made.
package struct BackupSnapshot: Sendable {
    /// How many digests are asked for at once.
    private static let batch = 10_000

    private let connection: PostgresConnection
    private let archive: PostgresArchive
    private let id: String

    fileprivate init(_ connection: PostgresConnection, _ archive: PostgresArchive, id: String) {
        self.connection = connection
        self.archive = archive
        self.id = id
    }

    /// Writes the database of this moment to a file.
    ///
    /// - Parameter path: The file, which is made or replaced.
    /// - Throws: `PostgresArchiveError`, `DatabaseError`, `CancellationError`.
    package func dump(to path: String) async throws {
        try await archive.dump(to: path, snapshot: id)
    }

    /// Calls the body with the digests of all blobs that rows name at this moment, some thousands at a
    /// time, in order and each once.
    ///
    /// - Parameter body: Takes the digests.
    /// - Throws: `DatabaseError`, and what the body throws.
    package func forEachBlob(_ body: ([BlobDigest]) async throws -> Void) async throws {
        try await connection.execute(
            """
            DECLARE named NO SCROLL CURSOR FOR
            SELECT digest FROM job_blob UNION SELECT digest FROM output
                UNION SELECT digest FROM artifact UNION SELECT digest FROM checkpoint
                UNION SELECT digest FROM draft WHERE digest IS NOT NULL
                UNION SELECT digest FROM model_file ORDER BY 1
            """
        )
        while true {
            let rows = try await connection.query("FETCH \(raw: String(Self.batch)) FROM named")
            guard !rows.isEmpty else { break }
            try await body(
                try rows.compactMap { row in
                    let text: String? = try row.decodeIfPresent("digest")
                    return text.flatMap(BlobDigest.init(rawValue:))
                }
            )
        }
        try await connection.execute("CLOSE named")
    }
}

extension FarmStore {
    /// Calls the body while nobody else sweeps blobs or copies them to a backup; nil at once when
    /// somebody does.
    ///
    /// Where the connection that holds this is lost the body's task is cancelled.
    package func withBlobsHeld<R: Sendable>(
        _ body: @escaping @Sendable () async throws -> R
    ) async throws -> R? {
        let row = try await pool.query("SELECT hashtext(current_schema()) AS schema").first
        guard let row else { throw FarmStoreError.vanished("the schema's name") }
        return try await pool.withSessionLock(
            AdvisoryLock.blobs,
            try row.decode("schema", as: Int.self)
        ) { _ in try await body() }
    }

    /// Calls the body with the database as it is now, however long that takes and whatever changes
    /// meanwhile.
    package func withBackupSnapshot<R: Sendable>(
        _ body: (BackupSnapshot) async throws -> R
    ) async throws -> R {
        try await pool.withLongTransaction { connection in
            try await connection.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            )
            try await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            let row = try await connection.query("SELECT pg_export_snapshot() AS id").first
            guard let row else { throw FarmStoreError.vanished("the snapshot") }
            let snapshot = BackupSnapshot(
                connection,
                PostgresArchive(pool),
                id: try row.decode("id")
            )
            return try await body(snapshot)
        }
    }

    /// Whether the database has no table of anybody's.
    package func isEmpty() async throws -> Bool {
        let row = try await pool.query(
            """
            SELECT NOT EXISTS (
                SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
                    AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
            ) AS is_empty
            """
        ).first
        return try row?.decode("is_empty", as: Bool.self) ?? false
    }

    /// Fills the database, which has to be empty, with that of a backup: all of it, or nothing.
    ///
    /// - Parameter path: The file that ``BackupSnapshot/dump(to:)`` wrote.
    /// - Throws: `PostgresArchiveError`, `DatabaseError`, `CancellationError`.
    package func restore(from path: String) async throws {
        try await PostgresArchive(pool).restore(from: path)
    }

    /// The names of the schema's steps that the database has, in order.
    package func migrationSteps() async throws -> [String] {
        try await pool.query("SELECT name FROM migration ORDER BY number")
            .map { try $0.decode("name") }
    }
}
