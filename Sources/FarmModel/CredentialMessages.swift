import FoundationEssentials

/// The next key of a worker: the body of `POST /v1/workers/{worker}/credential`.
package struct CredentialRequest: Codable, Hashable, Sendable {
    /// The hash of the key that the worker will show from now on.
    package var credential: BlobDigest

    package init(credential: BlobDigest) {
        self.credential = credential
    }
}

/// How long a worker's key is good.
package struct CredentialTerms: Codable, Hashable, Sendable {
    /// In seconds, from the answer on.
    package var lifetimeSeconds: Double

    package init(lifetimeSeconds: Double) {
        self.lifetimeSeconds = lifetimeSeconds
    }
}

/// What a worker shows of its own, once it has joined.
package enum WorkerKey {
    /// What every worker's key begins with.
    package static let prefix = "dfw_"
    /// What every token begins with that lets workers join.
    package static let joinPrefix = "dfj_"

    /// A key of 256 random bits that nobody had and nobody will guess.
    package static func random() -> String { prefix + randomText() }

    /// 256 random bits in hexadecimal.
    package static func randomText() -> String {
        var generator = SystemRandomNumberGenerator()
        return BlobDigest(
            bytes: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        ).rawValue
    }
}
