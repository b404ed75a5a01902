import Crypto
import FarmModel
import Synchronization

/// Knows whose a bearer token is.
package protocol TokenAuthority: Sendable {
    /// Finds out whose a token is.
    ///
    /// - Parameters:
    ///   - token: What a request shows.
    ///   - age: How old an answer that is remembered may be; nil for the usual few seconds.
    /// - Returns: The bearer, or nil where the token is unknown, over or revoked.
    /// - Throws: `DatabaseError` where the database is asked and does not answer.
    func caller(bearing token: String, rememberedFor age: Duration?) async throws -> Caller?
}

/// The coordinator's own admin token, and behind it the tokens of the store.
///
/// What the store said is kept for a few seconds, so that a request costs no question to the
/// database; a token that is revoked elsewhere opens nothing after that time.
package final class FarmTokens: TokenAuthority {
    private struct Entry {
        var caller: Caller?
        var askedAt: ContinuousClock.Instant
    }

    /// How many answers are kept; when there are more, all are asked for anew.
    private static let capacity = 10_000

    private let adminDigest: SHA256Digest
    private let lifetime: Duration
    private let find: @Sendable (String) async throws -> Caller?
    private let known = Mutex<[SHA256Digest: Entry]>([:])

    /// An authority over the admin token and what `find` says of others.
    package init(
        admin: String,
        lifetime: Duration = .seconds(5),
        find: @escaping @Sendable (String) async throws -> Caller?
    ) {
        adminDigest = SHA256.hash(data: Array(admin.utf8))
        self.lifetime = lifetime
        self.find = find
    }

    package func caller(
        bearing token: String,
        rememberedFor age: Duration? = nil
    ) async throws -> Caller? {
        // Digests are compared, so that the time taken says nothing about a token.
        let digest = SHA256.hash(data: Array(token.utf8))
        if digest == adminDigest { return Caller(owner: "admin", role: .admin) }
        let now = ContinuousClock.now
        if let entry = known.withLock({ $0[digest] }), now - entry.askedAt < age ?? lifetime {
            return entry.caller
        }
        let caller = try await find(token)
        known.withLock { known in
            if known.count >= Self.capacity { known.removeAll() }
            known[digest] = Entry(caller: caller, askedAt: now)
        }
        return caller
    }

    /// Forgets every answer, after a token was made or revoked here.
    package func forget() {
        known.withLock { $0.removeAll() }
    }
}
