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

    init(_ row: Row) throws {
        id = try row.decode("id")
        owner = try row.decode("owner")
        role = try row.decode("role")
        createdAt = try row.decode("created_at")
        expiresAt = try row.decodeIfPresent("expires_at")
        revokedAt = try row.decodeIfPresent("revoked_at")
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

    package init(owner: String, role: TokenRole) {
        self.owner = owner
        self.role = role
    }
}

extension FarmStore {
    /// 256 random bits, for what nobody is to guess.
    static func randomBytes() -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    /// Makes a token of 256 random bits and keeps its SHA-256 alone.
    package func createToken(
        owner: String,
        role: TokenRole,
        expiresAt: Date? = nil,
        by actor: String
    ) async throws -> NewToken {
        let secret = "dft_\(BlobDigest(bytes: Self.randomBytes()).rawValue)"
        let id = try await addToken(
            secret: secret,
            owner: owner,
            role: role,
            expiresAt: expiresAt,
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
        by actor: String
    ) async throws -> TokenID {
        try await withRetriedTransaction { connection in
            let row = try await connection.query(
                """
                INSERT INTO token (owner, role, hash, expires_at)
                VALUES (\(owner), \(role), \(BlobDigest(ofText: secret).rawValue), \(expiresAt))
                ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL, owner = excluded.owner,
                    role = excluded.role, expires_at = excluded.expires_at
                RETURNING id
                """
            ).first
            guard let row else { throw FarmStoreError.vanished("the token that was just made") }
            let id = try row.decode("id", as: TokenID.self)
            try await Self.recordAudit(
                "token.created",
                id.description,
                by: actor,
                ["owner": owner, "role": role.rawValue],
                on: connection
            )
            return id
        }
    }

    /// Returns every token, the newest first.
    package func tokens() async throws -> [TokenRecord] {
        try await pool.query(
            """
            SELECT id, owner, role, created_at, expires_at, revoked_at FROM token
            ORDER BY created_at DESC, id
            """
        ).map(TokenRecord.init)
    }

    /// Makes a token count no more; false when there is none, or it was revoked before.
    package func revokeToken(_ id: TokenID, by actor: String) async throws -> Bool {
        try await withRetriedTransaction { connection in
            let revoked = try await connection.execute(
                "UPDATE token SET revoked_at = now() WHERE id = \(id) AND revoked_at IS NULL"
            )
            guard revoked == 1 else { return false }
            try await Self.recordAudit(
                "token.revoked",
                id.description,
                by: actor,
                on: connection
            )
            return true
        }
    }

    /// Returns who a secret belongs to; nil when it is unknown, expired or revoked.
    package func bearer(secret: String) async throws -> Bearer? {
        try await pool.query(
            """
            SELECT owner, role FROM token
            WHERE hash = \(BlobDigest(ofText: secret).rawValue) AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > now())
            """
        ).first.map { Bearer(owner: try $0.decode("owner"), role: try $0.decode("role")) }
    }
}
