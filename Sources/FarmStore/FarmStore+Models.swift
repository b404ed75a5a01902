package import FarmModel
package import FoundationEssentials
import Postgres

/// A model that the farm knows.
package struct ModelRecord: Sendable, Hashable {
    package let name: String
    package let digest: String
    /// What jobs take that leave a key out, JSON; as its first worker said.
    package let defaults: String
    /// What predicts cost, JSON; `{}` before anybody said.
    package let costConstants: String
    /// Whether jobs take it that name no model.
    package let isDefault: Bool
    package let recordedAt: Date
    /// How many files of it the farm has for workers to fetch, and their bytes.
    package let files: Int
    package let bytes: Int64
    /// How many workers that are not lost have it.
    package let workers: Int

    init(_ row: Row) throws {
        name = try row.decode("name")
        digest = try row.decode("digest")
        defaults = try row.decode("defaults")
        costConstants = try row.decode("cost_constants")
        isDefault = try row.decode("is_default")
        recordedAt = try row.decode("recorded_at")
        files = try row.decode("files")
        bytes = try row.decode("bytes")
        workers = try row.decode("workers")
    }
}

/// A file of a model, kept as a blob.
package struct ModelFile: Sendable, Hashable {
    /// Where it lies in the model's directory.
    package var path: String
    package var digest: BlobDigest
    package var size: Int64

    package init(path: String, digest: BlobDigest, size: Int64) {
        self.path = path
        self.digest = digest
        self.size = size
    }
}

/// What became of the wish to add a model.
package enum AddModelOutcome: Sendable, Hashable {
    case added
    /// The name means this digest already; its files are those given now.
    case existing
    /// The name means another digest.
    case nameTaken(digest: String)
    /// The digest has another name.
    case digestTaken(name: String)
}

/// What became of the wish to remove a model.
package enum RemoveModelOutcome: Sendable, Hashable {
    case removed
    case notFound
    /// Why it has to stay, in words.
    case inUse(String)
}

extension FarmStore {
    private static let selectModel = """
        SELECT model.name, model.digest, model.defaults::text AS defaults,
            model.cost_constants::text AS cost_constants, model.recorded_at,
            model.name = (
                SELECT first.name FROM model AS first WHERE first.removed_at IS NULL
                ORDER BY first.is_default DESC, first.number LIMIT 1
            ) AS is_default,
            (SELECT count(*) FROM model_file WHERE model_name = model.name) AS files,
            (SELECT coalesce(sum(size), 0) FROM model_file WHERE model_name = model.name)
                AS bytes,
            (SELECT count(*) FROM worker WHERE worker.model_digest = model.digest
                AND worker.state <> 'lost') AS workers
        FROM model WHERE model.removed_at IS NULL
        """

    /// Returns the models by the time of their record, the default marked.
    ///
    /// The default is the one that was set, else the first recorded.
    package func models() async throws -> [ModelRecord] {
        try await pool.query("\(raw: Self.selectModel) ORDER BY model.number")
            .map(ModelRecord.init)
    }

    /// Returns a model by its name; nil when there is none.
    package func model(named name: String) async throws -> ModelRecord? {
        try await pool.query("\(raw: Self.selectModel) AND model.name = \(name)")
            .first.map(ModelRecord.init)
    }

    /// Returns the model of jobs that name none; nil when the farm knows no model.
    package func defaultModel() async throws -> ModelRecord? {
        try await pool.query(
            "\(raw: Self.selectModel) ORDER BY model.is_default DESC, model.number LIMIT 1"
        ).first.map(ModelRecord.init)
    }

    /// Returns a model's files by their paths.
    package func modelFiles(of name: String) async throws -> [ModelFile] {
        try await pool.query(
            "SELECT path, digest, size FROM model_file WHERE model_name = \(name) ORDER BY path"
        ).compactMap { row in
            guard let digest = BlobDigest(rawValue: try row.decode("digest", as: String.self))
            else { return nil }
            return ModelFile(
                path: try row.decode("path"),
                digest: digest,
                size: try row.decode("size")
            )
        }
    }

    /// Records a model under a name with its files, whose blobs are stored already.
    package func addModel(
        name: String,
        digest: String,
        defaults: String = "{}",
        costConstants: String = "{}",
        files: [ModelFile],
        by actor: String
    ) async throws -> AddModelOutcome {
        try await withRetriedTransaction { connection in
            let inserted = try await connection.execute(
                """
                INSERT INTO model (name, digest, defaults, cost_constants)
                VALUES (\(name), \(digest), \(defaults)::jsonb, \(costConstants)::jsonb)
                ON CONFLICT DO NOTHING
                """
            )
            if inserted == 0 {
                let rows = try await connection.query(
                    """
                    SELECT name, digest FROM model WHERE name = \(name) OR digest = \(digest)
                    FOR NO KEY UPDATE
                    """
                )
                for row in rows {
                    let known = (
                        try row.decode("name", as: String.self),
                        try row.decode("digest", as: String.self)
                    )
                    if known.0 == name, known.1 != digest { return .nameTaken(digest: known.1) }
                    if known.1 == digest, known.0 != name { return .digestTaken(name: known.0) }
                }
            }
            try await Self.replaceFiles(of: name, files, on: connection)
            try await Self.recordAudit(
                "model.added",
                name,
                by: actor,
                ["digest": digest, "files": String(files.count)],
                on: connection
            )
            return inserted == 1 ? .added : .existing
        }
    }

    private static func replaceFiles(
        of name: String,
        _ files: [ModelFile],
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            "UPDATE model SET removed_at = NULL WHERE name = \(name) AND removed_at IS NOT NULL"
        )
        guard !files.isEmpty else { return }
        try await connection.execute("DELETE FROM model_file WHERE model_name = \(name)")
        try await connection.execute(
            """
            INSERT INTO model_file (model_name, path, digest, size)
            SELECT \(name), file.path, file.digest, file.size
            FROM unnest(\(files.map(\.path))::text[], \(files.map(\.digest.rawValue))::text[],
                \(files.map(\.size))::bigint[]) AS file (path, digest, size)
            """
        )
    }

    /// Makes a model the one of jobs that name none; false when there is none of the name.
    package func setDefaultModel(_ name: String, by actor: String) async throws -> Bool {
        try await withRetriedTransaction { connection in
            let known =
                try await connection.query(
                    "SELECT FROM model WHERE name = \(name) AND removed_at IS NULL FOR NO KEY UPDATE"
                ).count == 1
            guard known else { return false }
            try await connection.execute(
                "UPDATE model SET is_default = false WHERE is_default AND name <> \(name)"
            )
            try await connection.execute(
                "UPDATE model SET is_default = true WHERE name = \(name)"
            )
            try await Self.recordAudit("model.default", name, by: actor, on: connection)
            return true
        }
    }

    /// Takes a model off the list, with its files, unless a live worker or a job that is not over
    /// has it.
    package func removeModel(_ name: String, by actor: String) async throws -> RemoveModelOutcome {
        try await withRetriedTransaction { connection in
            let row = try await connection.query(
                """
                SELECT digest FROM model WHERE name = \(name) AND removed_at IS NULL
                FOR NO KEY UPDATE
                """
            ).first
            guard let digest = try row?.decode("digest", as: String.self) else {
                return .notFound
            }
            if let user = try await Self.modelUser(digest, on: connection) { return .inUse(user) }
            try await connection.execute("DELETE FROM model_file WHERE model_name = \(name)")
            try await connection.execute(
                "UPDATE model SET removed_at = now(), is_default = false WHERE name = \(name)"
            )
            try await Self.recordAudit("model.removed", name, by: actor, on: connection)
            return .removed
        }
    }

    /// Who keeps a model from being removed, in words; nil for nobody.
    private static func modelUser(
        _ digest: String,
        on connection: PostgresConnection
    ) async throws -> String? {
        try await connection.query(
            """
            (SELECT format('the worker %s has it in memory', name) AS what FROM worker
                WHERE model_digest = \(digest) AND state <> 'lost' ORDER BY name LIMIT 1)
            UNION ALL
            (SELECT format('the job %s (%s) is not over', name, id) FROM job
                WHERE model_digest = \(digest) AND finished_at IS NULL
                ORDER BY created_at LIMIT 1)
            LIMIT 1
            """
        ).first?.decode("what")
    }
}
