import Crypto
import FarmModel
import FoundationEssentials
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

    /// The bearer of a token that was known at most so long ago, without a question to the database.
    func remembered(_ token: String, within age: Duration) -> Caller?
}

/// The coordinator's own admin token, and behind it the tokens of the store and of an identity provider.
///
/// What the store said is kept for a few seconds, so that a request costs no question to the
/// database; a token that is revoked elsewhere opens nothing after that time.
package final class FarmTokens: TokenAuthority {
    private struct Entry {
        var caller: Caller
        var askedAt: ContinuousClock.Instant
    }

    private struct Memory {
        var known: [SHA256Digest: Entry] = [:]
        /// When tokens were found to be unknown; apart, so that any number of them makes no known one
        /// forgotten.
        var unknown: [SHA256Digest: ContinuousClock.Instant] = [:]
        /// The key that each worker of those showed last.
        var keys: [WorkerID: SHA256Digest] = [:]

        mutating func note(
            _ caller: Caller,
            at digest: SHA256Digest,
            _ now: ContinuousClock.Instant
        ) {
            if known.count >= FarmTokens.capacity {
                known.removeAll()
                keys.removeAll()
            }
            // With its next key the one before is over.
            if let worker = caller.ownWorker,
                let before = keys.updateValue(digest, forKey: worker), before != digest
            {
                known[before] = nil
            }
            known[digest] = Entry(caller: caller, askedAt: now)
            unknown[digest] = nil
        }
    }

    /// How many answers of each kind are kept; when there are more, all are asked for anew.
    private static let capacity = 10_000

    private let adminDigest: SHA256Digest
    private let lifetime: Duration
    private let find: @Sendable (String) async throws -> Caller?
    private let memory = Mutex(Memory())

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
        let now = ContinuousClock.now
        if let caller = remembered(digest, within: age ?? lifetime) { return caller }
        // What was not known may be by now, as a token that another coordinator made.
        if let askedAt = memory.withLock({ $0.unknown[digest] }), now - askedAt < lifetime {
            return nil
        }
        let caller = try await find(token)
        memory.withLock { memory in
            if let caller {
                memory.note(caller, at: digest, now)
            } else {
                if memory.unknown.count >= Self.capacity { memory.unknown.removeAll() }
                memory.unknown[digest] = now
                memory.known[digest] = nil
            }
        }
        return caller
    }

    package func remembered(_ token: String, within age: Duration) -> Caller? {
        remembered(SHA256.hash(data: Array(token.utf8)), within: age)
    }

    private func remembered(_ digest: SHA256Digest, within age: Duration) -> Caller? {
        if digest == adminDigest { return Caller(owner: "admin", role: .admin) }
        guard let entry = memory.withLock({ $0.known[digest] }),
            ContinuousClock.now - entry.askedAt < age,
            entry.caller.endsAt.map({ $0 > .now }) ?? true
        else { return nil }
        return entry.caller
    }

    /// Forgets every answer, after a token was made or revoked here.
    package func forget() {
        memory.withLock { $0 = Memory() }
    }
}
