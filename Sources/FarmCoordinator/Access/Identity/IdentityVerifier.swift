import FarmModel
import FoundationEssentials
import JWTKit
import Logging

/// Finds out whose a token of an identity provider is, without a question to anybody for most.
struct IdentityVerifier: Sendable {
    /// What is read of a token's header before anything is believed.
    private struct Header: Decodable {
        private enum CodingKeys: String, CodingKey { case alg, kid, crit }

        let alg: String
        let kid: String?
        /// Whether it asks for something that has to be understood; what, nobody looks at.
        let isCritical: Bool

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            alg = try container.decode(String.self, forKey: .alg)
            kid = try container.decodeIfPresent(String.self, forKey: .kid)
            isCritical = container.contains(.crit)
        }
    }

    private let provider: IdentityProvider
    private let keys: IdentityKeys
    private let logger: Logger
    private let clock: @Sendable () -> Date

    /// Who verifies a provider's tokens.
    ///
    /// - Parameters:
    ///   - provider: Whose tokens.
    ///   - keys: Its keys; nil to read them from where the provider says.
    ///   - logger: Told why tokens are refused.
    ///   - clock: Tells the time.
    init(
        _ provider: IdentityProvider,
        keys: IdentityKeys? = nil,
        logger: Logger,
        clock: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.provider = provider
        self.keys = keys ?? IdentityKeys(provider, logger: logger)
        self.logger = logger
        self.clock = clock
    }

    /// Reads the provider's keys, so that the first token need not wait for them.
    func load() async {
        await keys.load()
    }

    /// Whether a token is one of an identity provider, by its looks.
    static func isMeant(by token: String) -> Bool {
        token.hasPrefix("ey") && token.utf8.count { $0 == UInt8(ascii: ".") } == 2
    }

    /// Returns whose a token is, or nil, and writes the reason into the log, where it does not count.
    func known(bearing token: String) async -> Caller? {
        do throws(IdentityRefusal) {
            return try await caller(bearing: token)
        } catch {
            logger.info(
                "Refused a token of the identity provider",
                metadata: ["because": "\(error.rawValue)"]
            )
            return nil
        }
    }

    /// Returns whose a token is.
    ///
    /// - Parameter token: A JSON Web Token, signed.
    /// - Returns: The bearer, with the moment at which the token is over.
    /// - Throws: ``IdentityRefusal``.
    func caller(bearing token: String) async throws(IdentityRefusal) -> Caller {
        let header = try Self.header(of: token)
        guard !header.isCritical else { throw .critical }
        // What the token says of itself chooses among the settings' algorithms, no others.
        guard let algorithm = IdentityProvider.Algorithm(rawValue: header.alg),
            provider.algorithms.contains(algorithm)
        else { throw .algorithm }
        guard let name = header.kid else { throw .key }
        let verifier = try await keys.verifier(of: name, algorithm)
        let claims: IdentityClaims
        do {
            claims = try await verifier.verify(token)
        } catch let error as JWTError where error.errorType == .malformedToken {
            throw .malformed
        } catch {
            throw .signature
        }
        return try check(claims)
    }

    private static func header(of token: String) throws(IdentityRefusal) -> Header {
        guard let part = token.split(separator: ".", omittingEmptySubsequences: false).first,
            let data = Data(base64URL: String(part)),
            let header = try? JSONDecoder().decode(Header.self, from: data)
        else { throw .malformed }
        return header
    }

    /// Checks what a token says that its issuer has signed.
    private func check(_ claims: IdentityClaims) throws(IdentityRefusal) -> Caller {
        guard claims["iss"]?.text == provider.issuer else { throw .issuer }
        guard claims["aud"]?.texts.contains(provider.audience) == true else { throw .audience }
        let now = clock().timeIntervalSince1970
        guard let end = claims["exp"]?.number, now < end + provider.leeway else { throw .expired }
        if let value = claims["nbf"] {
            guard let begin = value.number, begin - provider.leeway <= now else { throw .early }
        }
        guard let name = claims[provider.ownerClaim]?.text, (1...256).contains(name.utf8.count)
        else { throw .owner }
        guard let role = provider.role(claims[provider.roleClaim]?.texts ?? []) else { throw .role }
        var caller = Caller(owner: provider.owner(name), role: role)
        caller.endsAt = Date(timeIntervalSince1970: end + provider.leeway)
        return caller
    }
}

extension Data {
    /// Reads base64 in the alphabet of addresses, without padding (RFC 4648, section 5).
    init?(base64URL text: String) {
        var text = text.replacing("-", with: "+").replacing("_", with: "/")
        text += String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        self.init(base64Encoded: text)
    }
}
