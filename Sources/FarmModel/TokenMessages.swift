package import FoundationEssentials

/// What the holder of a token may do.
package enum TokenRole: String, Codable, CaseIterable, Sendable {
    /// Reads.
    case viewer
    /// Reads, and submits and steers its owner's jobs.
    case submitter
    /// Steers everyone's jobs, workers and pools.
    case `operator`
    /// Everything, tokens too.
    case admin
    /// Registers, claims and delivers.
    case worker
}

/// How workers join by a token that is for that alone.
package enum JoinKind: String, Codable, CaseIterable, Sendable {
    /// One worker, once.
    case once
    /// Any number of workers, into one pool.
    case pool
}

/// A token to make: the body of `POST /v1/tokens`.
package struct TokenRequest: Codable, Hashable, Sendable {
    /// The pool of a token by which any number join, where none is named.
    package static let defaultPool = "default"

    package var owner: String
    package var role: TokenRole
    /// How long it is good for, in seconds; nil for ever, or for a day where it lets one worker join.
    package var expiresInSeconds: Double?
    /// How workers join by it; nil for a token that is shown itself.
    package var join: JoinKind?
    /// The pool that they join; nil for any where one joins, else for `default`.
    package var pool: String?

    package init(
        owner: String,
        role: TokenRole = .submitter,
        expiresInSeconds: Double? = nil,
        join: JoinKind? = nil,
        pool: String? = nil
    ) {
        self.owner = owner
        self.role = role
        self.expiresInSeconds = expiresInSeconds
        self.join = join
        self.pool = pool
    }
}

/// A token as the API gives it.
package struct TokenView: Codable, Hashable, Sendable {
    package var id: TokenID
    package var owner: String
    package var role: TokenRole
    package var createdAt: Date
    package var expiresAt: Date?
    package var revokedAt: Date?
    /// How workers join by it; nil for a token that is shown itself.
    package var join: JoinKind?
    /// The pool that they join; nil for any.
    package var pool: String?
    /// When the one worker joined by it.
    package var spentAt: Date?
    /// How many workers may show a key of their own that they joined by it; nil where none can.
    package var workers: Int?
    /// The token itself; only in the answer to its making, since the farm keeps its hash alone.
    package var token: String?

    package init(
        id: TokenID,
        owner: String,
        role: TokenRole,
        createdAt: Date,
        expiresAt: Date? = nil,
        revokedAt: Date? = nil,
        token: String? = nil
    ) {
        self.id = id
        self.owner = owner
        self.role = role
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.token = token
    }
}
