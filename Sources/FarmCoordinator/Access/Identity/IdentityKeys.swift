import FarmModel
import FoundationEssentials
import HTTPTransport
import JWTKit
import Logging

/// The keys of an identity provider: read once, and again when the file changes, when their time is
/// over, or when a token names one that is not among them.
///
/// What cannot be read leaves the keys as they are: a provider that is away for a while shuts nobody
/// out.
actor IdentityKeys {
    /// How old keys of an address may be before they are asked for anew.
    private static let freshness: Duration = .seconds(600)
    /// The least time between two questions.
    private static let pause: Duration = .seconds(60)
    /// The most bytes that a set of keys has.
    private static let limit = 1 << 20

    private let provider: IdentityProvider
    private let logger: Logger
    private let now: @Sendable () -> ContinuousClock.Instant
    private let fetch: @Sendable (String) async throws -> Data
    private var set = IdentityKeySet()
    /// The file as it was when it was read.
    private var fileStamp: FileStamp?
    private var askedAt: ContinuousClock.Instant?
    private var question: Task<Void, Never>?

    /// The keys of a provider.
    ///
    /// - Parameters:
    ///   - provider: Whose they are.
    ///   - logger: Told what cannot be read.
    ///   - now: Tells the time.
    ///   - fetch: Gets what is at an address; nil to ask for it.
    init(
        _ provider: IdentityProvider,
        logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        fetch: (@Sendable (String) async throws -> Data)? = nil
    ) {
        self.provider = provider
        self.logger = logger
        self.now = now
        let client = HTTPClient(tls: provider.tls)
        self.fetch = fetch ?? { try await Self.get($0, by: client) }
    }

    /// Reads the keys, so that the first token need not wait for them.
    func load() async {
        await refresh(isMissing: true)
    }

    /// What verifies a signature of a key.
    ///
    /// - Parameters:
    ///   - name: The key, as a token names it.
    ///   - algorithm: What the token says it is signed with.
    /// - Returns: The key with its algorithm, and no other.
    /// - Throws: ``IdentityRefusal/key``, or ``IdentityRefusal/algorithm`` where the key is not for it.
    func verifier(
        of name: String,
        _ algorithm: IdentityProvider.Algorithm
    ) async throws(IdentityRefusal) -> JWTKeyCollection {
        await refresh(isMissing: !set.has(name))
        guard set.has(name) else { throw .key }
        guard let verifier = set.verifier(of: name, algorithm) else { throw .algorithm }
        return verifier
    }

    private func refresh(isMissing: Bool) async {
        switch provider.keys {
        case .file(let path): await readIfChanged(path)
        case .address(let address): await askIfDue(address, isMissing: isMissing)
        }
    }

    // MARK: - A file

    private func readIfChanged(_ path: String) async {
        let stamp = FileStamp(path: path)
        guard stamp != fileStamp || askedAt == nil else { return }
        fileStamp = stamp
        askedAt = now()
        guard let data = FileManager.default.contents(atPath: path) else {
            return complain("cannot be read", path)
        }
        await take(data, from: path)
    }

    // MARK: - An address

    private func askIfDue(_ address: String, isMissing: Bool) async {
        if let question, isMissing { return await question.value }
        if let askedAt {
            let age = askedAt.duration(to: now())
            guard age >= (isMissing ? Self.pause : Self.freshness) else { return }
        }
        askedAt = now()
        // One question for all who wait; who goes meanwhile does not end it for the others.
        let question = Task { await ask(address) }
        self.question = question
        // Who knows the key goes on with it.
        if isMissing { await question.value }
    }

    private func ask(_ address: String) async {
        defer { question = nil }
        do {
            await take(try await fetch(address), from: address)
        } catch {
            complain("\(error)", address)
        }
    }

    private static func get(_ address: String, by client: HTTPClient) async throws -> Data {
        let request = HTTPRequest(
            method: "GET",
            url: address,
            headers: [(name: "Accept", value: "application/json")],
            destination: .memory(limit: limit),
            timeout: .seconds(10)
        )
        let response = try await client.send(request, retry: .never)
        guard response.isSuccess else { throw IdentityKeysError(status: response.status) }
        return response.body
    }

    // MARK: - What was read

    private func take(_ data: Data, from place: String) async {
        guard let found = await IdentityKeySet(data, for: provider.algorithms) else {
            return complain("it is no set of keys", place)
        }
        set = found
        guard !found.isEmpty else {
            logger.warning(
                "The identity provider has no keys any more: none of its tokens counts",
                metadata: ["place": "\(place)", "for": "\(provider.algorithmNames)"]
            )
            return
        }
        logger.info("Read the identity provider's keys", metadata: ["keys": "\(found.names)"])
    }

    private func complain(_ reason: String, _ place: String) {
        logger.warning(
            "The identity provider's keys stay as they were",
            metadata: ["place": "\(place)", "reason": "\(reason)", "keys": "\(set.names)"]
        )
    }
}

/// An answer that is no set of keys.
struct IdentityKeysError: Error, CustomStringConvertible {
    let status: Int

    var description: String { "it is answered with the status \(status)" }
}

/// Keys that signatures are verified by, each with one algorithm.
private struct IdentityKeySet {
    private struct Name: Hashable {
        var key: String
        var algorithm: IdentityProvider.Algorithm
    }

    /// A key of a set, where it can be read; a set may have others.
    private struct Entry: Decodable {
        private enum CodingKeys: String, CodingKey { case use }

        let key: JWK?
        let use: String?

        init(from decoder: any Decoder) throws {
            key = try? JWK(from: decoder)
            use = try? decoder.container(keyedBy: CodingKeys.self)
                .decodeIfPresent(String.self, forKey: .use)
        }
    }

    private struct Document: Decodable {
        var keys: [Entry]
    }

    private var verifiers: [Name: JWTKeyCollection] = [:]
    /// The keys' names, in order.
    private(set) var names: [String] = []

    var isEmpty: Bool { verifiers.isEmpty }

    init() {}

    /// Reads the public keys of a set that are for signatures by `algorithms`; nil where it is no set.
    init?(_ data: Data, for algorithms: Set<IdentityProvider.Algorithm>) async {
        guard let document = try? JSONDecoder().decode(Document.self, from: data) else {
            return nil
        }
        for entry in document.keys where entry.use ?? "sig" == "sig" {
            guard var key = entry.key, let name = key.keyIdentifier?.string else { continue }
            key.privateExponent = nil
            key.prime1 = nil
            key.prime2 = nil
            let own = key.algorithm?.rawValue
            for algorithm in algorithms
            where key.isFor(algorithm) && (own == nil || own == algorithm.rawValue) {
                key.algorithm = JWK.Algorithm(rawValue: algorithm.rawValue)
                let verifier = JWTKeyCollection()
                guard (try? await verifier.add(jwk: key)) != nil else { continue }
                verifiers[Name(key: name, algorithm: algorithm)] = verifier
            }
        }
        names = Set(verifiers.keys.map(\.key)).sorted()
    }

    func has(_ name: String) -> Bool { names.contains(name) }

    func verifier(
        of name: String,
        _ algorithm: IdentityProvider.Algorithm
    ) -> JWTKeyCollection? {
        verifiers[Name(key: name, algorithm: algorithm)]
    }
}

extension JWK {
    /// Whether a key of this kind signs by an algorithm.
    fileprivate func isFor(_ algorithm: IdentityProvider.Algorithm) -> Bool {
        switch algorithm {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: keyType == .rsa
        case .es256: keyType == .ecdsa && curve?.rawValue == "P-256"
        case .es384: keyType == .ecdsa && curve?.rawValue == "P-384"
        case .es512: keyType == .ecdsa && curve?.rawValue == "P-521"
        case .eddsa: keyType == .octetKeyPair && curve?.rawValue == "Ed25519"
        }
    }
}

extension IdentityProvider {
    /// The algorithms' names, for a message.
    fileprivate var algorithmNames: String {
        algorithms.map(\.rawValue).sorted().joined(separator: ", ")
    }
}
