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

/// A token to make: the body of `POST /v1/tokens`.
package struct TokenRequest: Codable, Hashable, Sendable {
    package var owner: String
    package var role: TokenRole
    /// How long it is good for, in seconds; nil for ever.
    package var expiresInSeconds: Double?

    package init(owner: String, role: TokenRole = .submitter, expiresInSeconds: Double? = nil) {
        self.owner = owner
        self.role = role
        self.expiresInSeconds = expiresInSeconds
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
