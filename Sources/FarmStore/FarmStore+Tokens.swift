package import FarmModel
package import FoundationEssentials
import Postgres

/// A token as it is listed: never its secret.
package struct TokenRecord: Sendable, Hashable {
    package let id: TokenID
    package let owner: String
    package let role: TokenRole
    package let createdAt: Date
    package let expiresAt: Date?
    package let revokedAt: Date?
    /// How workers join by it; nil for a token that is shown itself.
    package let join: JoinKind?
    /// The pool that they join; nil for any.
    package let pool: String?
    /// When the one worker joined by it.
    package let spentAt: Date?
    /// How many workers may show a key that they joined with by it.
    package let workers: Int

    init(_ row: Row) throws {
        id = try row.decode("id")
        owner = try row.decode("owner")
        role = try row.decode("role")
        createdAt = try row.decode("created_at")
        expiresAt = try row.decodeIfPresent("expires_at")
        revokedAt = try row.decodeIfPresent("revoked_at")
        join = try row.decodeIfPresent("joins")
        pool = try row.decodeIfPresent("pool")
        spentAt = try row.decodeIfPresent("spent_at")
        workers = try row.decode("workers")
    }
}

/// A token that was just made; its secret is shown once and not kept.
package struct NewToken: Sendable, Hashable {
    package let id: TokenID
    package let secret: String
}

/// Who a secret belongs to.
package struct Bearer: Sendable, Hashable {
    package let owner: String
    package let role: TokenRole
    /// What it is for alone; nil where it is for all that its role may.
    package let binding: TokenBinding?

    package init(owner: String, role: TokenRole, binding: TokenBinding? = nil) {
        self.owner = owner
        self.role = role
        self.binding = binding
    }
}

/// What a secret is for alone.
package enum TokenBinding: Sendable, Hashable {
    /// To join as a worker by this token.
    case join(TokenID)
    /// To act as this worker.
    case worker(WorkerID)
}

extension FarmStore {
    /// 256 random bits, for what nobody is to guess.
    static func randomBytes() -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    /// Makes a token of 256 random bits and keeps its SHA-256 alone.
    ///
    /// - Parameters:
    ///   - owner: Whose it is.
    ///   - role: What it may do; `worker` for one that lets workers join.
    ///   - expiresAt: When it is over; nil for never.
    ///   - join: How workers join by it; nil for a token that is shown itself.
    ///   - pool: The pool that they join; nil for any, where one joins.
    ///   - actor: Who makes it, for the audit.
    /// - Returns: The token with its secret.
    /// - Throws: `DatabaseError`.
    package func createToken(
        owner: String,
        role: TokenRole,
        expiresAt: Date? = nil,
        join: JoinKind? = nil,
        pool: String? = nil,
        by actor: String
    ) async throws -> NewToken {
        let prefix = join == nil ? "dft_" : WorkerKey.joinPrefix
        let secret = prefix + WorkerKey.randomText()
        let id = try await addToken(
            secret: secret,
            owner: owner,
            role: role,
            expiresAt: expiresAt,
            join: join,
            pool: pool,
            by: actor
        )
        return NewToken(id: id, secret: secret)
    }

    /// Keeps a token whose secret exists already, such as the one in the data folder.
    ///
    /// A secret that is known keeps its row, and counts again if it was revoked.
    @discardableResult
    package func addToken(
        secret: String,
        owner: String,
        role: TokenRole,
        expiresAt: Date? = nil,
        join: JoinKind? = nil,
        pool: String? = nil,
        by actor: String
    ) async throws -> TokenID {
        try await withRetriedTransaction { connection in
            let row = try await connection.query(
                """
                INSERT INTO token (owner, role, hash, expires_at, joins, pool)
                VALUES (\(owner), \(role), \(BlobDigest(ofText: secret).rawValue), \(expiresAt),
                    \(join), \(pool))
                ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL, owner = excluded.owner,
                    role = excluded.role, expires_at = excluded.expires_at
                RETURNING id
                """
            ).first
            guard let row else { throw FarmStoreError.vanished("the token that was just made") }
            let id = try row.decode("id", as: TokenID.self)
            var detail = ["owner": owner, "role": role.rawValue]
            detail["join"] = join?.rawValue
            detail["pool"] = pool
            try await Self.recordAudit(
                "token.created",
                id.description,
                by: actor,
                detail,
                on: connection
            )
            return id
        }
    }

    /// Returns every token, the newest first.
    package func tokens() async throws -> [TokenRecord] {
        try await pool.query(
            """
            SELECT id, owner, role, created_at, expires_at, revoked_at, joins, pool, spent_at, (
                SELECT count(DISTINCT worker_id) FROM worker_credential
                WHERE token_id = token.id AND expires_at > now()
            ) AS workers FROM token ORDER BY created_at DESC, id
            """
        ).map(TokenRecord.init)
    }

    /// Makes a token count no more, and where asked for removes the workers that joined by it.
    ///
    /// - Parameters:
    ///   - id: The token.
    ///   - withWorkers: Whether those that joined by it are removed; also where it was revoked before.
    ///   - actor: Who does it, for the audit.
    /// - Returns: The workers that were removed; nil where there is no token, or it was revoked before
    ///   and no worker is asked for.
    /// - Throws: `DatabaseError`.
    package func revokeToken(
        _ id: TokenID,
        withWorkers: Bool = false,
        by actor: String
    ) async throws -> [WorkerID]? {
        try await withRetriedTransaction { connection in
            let found = try await connection.query(
                "SELECT revoked_at FROM token WHERE id = \(id) FOR UPDATE"
            ).first
            guard let found else { return nil }
            let isRevoked = try found.decodeIfPresent("revoked_at", as: Date.self) != nil
            guard !isRevoked || withWorkers else { return nil }
            if !isRevoked {
                try await connection.execute("UPDATE token SET revoked_at = now() WHERE id = \(id)")
                try await Self.recordAudit(
                    "token.revoked",
                    id.description,
                    by: actor,
                    on: connection
                )
            }
            guard withWorkers else { return [] }
            let workers = try await connection.query(
                """
                SELECT DISTINCT worker_id FROM worker_credential WHERE token_id = \(id)
                ORDER BY worker_id
                """
            ).map { try $0.decode("worker_id", as: WorkerID.self) }
            for worker in workers {
                _ = try await remove(worker, because: ["token": "\(id)"], by: actor, on: connection)
            }
            return workers
        }
    }

    /// Returns who a secret belongs to; nil when it is unknown, expired or revoked.
    ///
    /// The first time that a worker shows its next key, the one before is over.
    package func bearer(secret: String) async throws -> Bearer? {
        let hash = BlobDigest(ofText: secret)
        if secret.hasPrefix(WorkerKey.prefix) { return try await worker(showing: hash) }
        let row = try await pool.query(
            """
            SELECT id, owner, role, joins IS NOT NULL AS is_join FROM token
            WHERE hash = \(hash.rawValue) AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > now())
            """
        ).first
        guard let row else { return nil }
        return Bearer(
            owner: try row.decode("owner"),
            role: try row.decode("role"),
            binding: try row.decode("is_join") ? .join(row.decode("id")) : nil
        )
    }
}
