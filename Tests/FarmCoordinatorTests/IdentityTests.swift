import CryptoExtras
import FarmModel
import Foundation
import JWTKit
import Logging
import Synchronization
import Testing

@testable import FarmCoordinator

/// An identity provider with keys of its own, and a coordinator's view of it.
struct IdentityScene: Sendable {
    static let issuer = "https://login.example/realms/farm"
    static let start = Date(timeIntervalSince1970: 1_800_000_000)

    let key = ES256PrivateKey()
    let name = "key-1"

    /// The provider as the settings name it.
    static func provider(_ keys: IdentityProvider.Keys) -> IdentityProvider {
        var provider = IdentityProvider(issuer: issuer, audience: "dreamfarm", keys: keys)
        provider.roles = ["artists": .submitter, "farm-admins": .admin, "guests": .viewer]
        return provider
    }

    /// The claims of a token that counts.
    static var claims: [String: ClaimValue] {
        [
            "iss": .text(issuer), "aud": .text("dreamfarm"), "sub": .text("anna"),
            "exp": .number(start.timeIntervalSince1970 + 300),
            "roles": .list([.text("staff"), .text("artists")]),
        ]
    }

    /// The set of keys that the provider shows.
    func keySet(_ others: [String] = []) throws -> Data {
        let point = try #require(key.parameters)
        let own = """
            {"kty": "EC", "crv": "P-256", "kid": "\(name)", "x": "\(point.x)", "y": "\(point.y)"}
            """
        return Data("{\"keys\": [\(([own] + others).joined(separator: ", "))]}".utf8)
    }

    /// A token that the provider signs.
    func token(
        _ claims: [String: ClaimValue] = Self.claims,
        key name: String? = nil,
        header: JWTHeader = JWTHeader()
    ) async throws -> String {
        let signer = JWTKeyCollection()
        await signer.add(ecdsa: key, kid: JWKIdentifier(string: name ?? self.name))
        return try await signer.sign(
            IdentityClaims(claims),
            kid: JWKIdentifier(string: name ?? self.name),
            header: header
        )
    }

    /// Who verifies by a file of this set of keys.
    func withVerifier(
        of provider: IdentityProvider? = nil,
        keys: Data? = nil,
        at date: Date = Self.start,
        _ body: (IdentityVerifier) async throws -> Void
    ) async throws {
        let path = FileManager.default.temporaryDirectory.path + "/keys-\(UUID().uuidString)"
        try (keys ?? keySet()).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        var given = provider ?? Self.provider(.file(path))
        given.keys = .file(path)
        let keys = IdentityKeys(given, logger: .silent)
        try await body(IdentityVerifier(given, keys: keys, logger: .silent, clock: { date }))
    }
}

extension Logger {
    /// A logger that says nothing.
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

@Suite struct IdentityTests {
    private let scene = IdentityScene()

    private func refusal(
        _ token: String,
        of provider: IdentityProvider? = nil,
        keys: Data? = nil,
        at date: Date = IdentityScene.start
    ) async throws -> IdentityRefusal? {
        var found: IdentityRefusal?
        try await scene.withVerifier(of: provider, keys: keys, at: date) { verifier in
            do throws(IdentityRefusal) {
                _ = try await verifier.caller(bearing: token)
            } catch {
                found = error
            }
        }
        return found
    }

    @Test("a token of the provider is its owner's, in the highest of its roles, until its end")
    func caller() async throws {
        try await scene.withVerifier { verifier in
            let token = try await scene.token()
            #expect(IdentityVerifier.isMeant(by: token))
            let caller = try await verifier.caller(bearing: token)
            #expect(caller.owner == "oidc:login.example/realms/farm:anna")
            #expect(caller.role == .submitter)
            #expect(caller.binding == nil)
            #expect(caller.endsAt == IdentityScene.start.addingTimeInterval(360))
            var claims = IdentityScene.claims
            claims["roles"] = .list([.text("guests"), .text("farm-admins"), .text("artists")])
            claims["aud"] = .list([.text("other"), .text("dreamfarm")])
            claims["nbf"] = .number(IdentityScene.start.timeIntervalSince1970)
            let admin = try await verifier.caller(bearing: scene.token(claims))
            #expect(admin.role == .admin)
        }
        #expect(!IdentityVerifier.isMeant(by: "dft_0123"))
    }

    @Test("a role or owner is found inside of other claims, and under a name with dots")
    func paths() async throws {
        var provider = IdentityScene.provider(.file(""))
        provider.roleClaim = "realm_access.roles"
        provider.ownerClaim = "https://farm.example/owner"
        var claims = IdentityScene.claims
        claims["roles"] = nil
        claims["realm_access"] = .object(["roles": .list([.text("guests")])])
        claims["https://farm.example/owner"] = .text("studio")
        try await scene.withVerifier(of: provider) { verifier in
            let caller = try await verifier.caller(bearing: scene.token(claims))
            #expect(caller.role == .viewer)
            #expect(caller.owner.hasSuffix(":studio"))
        }
    }

    @Test(
        "what a token says wrongly is refused, each for its own reason",
        arguments: [
            ("iss", ClaimValue.text("https://login.example"), IdentityRefusal.issuer),
            ("iss", .nothing, .issuer),
            ("aud", .text("another"), .audience),
            ("aud", .list([]), .audience),
            ("exp", .number(IdentityScene.start.timeIntervalSince1970 - 60), .expired),
            ("exp", .text("never"), .expired),
            ("exp", .nothing, .expired),
            ("nbf", .number(IdentityScene.start.timeIntervalSince1970 + 61), .early),
            ("nbf", .text("now"), .early),
            ("sub", .text(""), .owner),
            ("sub", .number(1), .owner),
            ("roles", .list([.text("staff")]), .role),
            ("roles", .text("worker"), .role),
            ("roles", .nothing, .role),
        ]
    )
    func claims(name: String, value: ClaimValue, expected: IdentityRefusal) async throws {
        var claims = IdentityScene.claims
        claims[name] = value
        #expect(try await refusal(scene.token(claims)) == expected)
    }

    @Test("clocks may differ by a minute")
    func leeway() async throws {
        var claims = IdentityScene.claims
        claims["exp"] = .number(IdentityScene.start.timeIntervalSince1970 - 59)
        claims["nbf"] = .number(IdentityScene.start.timeIntervalSince1970 + 60)
        #expect(try await refusal(scene.token(claims)) == nil)
    }

    @Test("a token that names no key, or an unknown one, is refused")
    func unknownKey() async throws {
        #expect(try await refusal(scene.token(key: "key-2")) == .key)
        let parts = try await scene.token().split(separator: ".").map(String.init)
        let header = Data(#"{"alg":"ES256"}"#.utf8).base64URL
        #expect(try await refusal("\(header).\(parts[1]).\(parts[2])") == .key)
    }

    @Test("a token without a signature, and one signed by the public key as a secret, are refused")
    func algorithms() async throws {
        let parts = try await scene.token().split(separator: ".").map(String.init)
        for algorithm in ["none", "None", "NONE", ""] {
            let header = Data(#"{"alg":"\#(algorithm)","kid":"key-1"}"#.utf8).base64URL
            #expect(try await refusal("\(header).\(parts[1]).") == .algorithm)
            #expect(try await refusal("\(header).\(parts[1]).\(parts[2])") == .algorithm)
        }
        let secrets = [
            scene.key.publicKey.pemRepresentation,
            String(decoding: try scene.keySet(), as: UTF8.self),
        ]
        for secret in secrets {
            let forger = JWTKeyCollection()
            await forger.add(
                hmac: HMACKey(from: secret),
                digestAlgorithm: .sha256,
                kid: "key-1"
            )
            let forged = try await forger.sign(
                IdentityClaims(IdentityScene.claims),
                kid: "key-1"
            )
            #expect(try await refusal(forged) == .algorithm)
        }
    }

    @Test("a key is for its own algorithm, and that has to be one of the settings")
    func otherAlgorithm() async throws {
        let parts = try await scene.token().split(separator: ".").map(String.init)
        let header = Data(#"{"alg":"RS256","kid":"key-1"}"#.utf8).base64URL
        #expect(try await refusal("\(header).\(parts[1]).\(parts[2])") == .algorithm)
        var provider = IdentityScene.provider(.file(""))
        provider.algorithms = [.rs256]
        #expect(try await refusal(scene.token(), of: provider) == .algorithm)
    }

    @Test("whatever is changed of a token, its signature does not hold")
    func tampered() async throws {
        let parts = try await scene.token().split(separator: ".").map(String.init)
        var claims = IdentityScene.claims
        claims["roles"] = .text("farm-admins")
        let other = try await scene.token(claims).split(separator: ".").map(String.init)
        #expect(try await refusal("\(parts[0]).\(other[1]).\(parts[2])") == .signature)
        #expect(try await refusal("\(parts[0]).\(parts[1]).\(other[2])") == .signature)
        let stranger = IdentityScene()
        #expect(try await refusal(stranger.token()) == .signature)
        #expect(try await refusal("\(parts[0]).\(parts[1]).AAAA") == .signature)
        #expect(try await refusal("\(parts[0]).\(parts[1]).") == .signature)
    }

    @Test("what is no token, and what has to be understood and is not, is refused")
    func malformed() async throws {
        for text in ["ey.ey.ey", "ey..", "ey§.a.b"] {
            #expect(try await refusal(text) == .malformed, "\(text)")
        }
        let token = try await scene.token(header: ["crit": .array([.string("exp")])])
        #expect(try await refusal(token) == .critical)
        // Anybody may send a header, however deep.
        for depth in [500, 5000] {
            let lists = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            let header = Data(#"{"alg":"ES256","kid":"key-1","crit":\#(lists)}"#.utf8).base64URL
            let found = try await refusal("\(header).e30.AAAA")
            #expect(found == .critical || found == .malformed)
        }
    }

    @Test("keys that are not for signatures, or cannot be read, are left out of a set")
    func others() async throws {
        let point = try #require(scene.key.parameters)
        let own = #""kty": "EC", "crv": "P-256", "x": "\#(point.x)", "y": "\#(point.y)""#
        let keys = try scene.keySet([
            #"{"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}"#,
            #"{"kty": "RSA", "kid": "odd", "alg": "RSA-OAEP-256", "n": "AQAB", "e": "AQAB"}"#,
            #"{\#(own), "kid": "sealed", "use": "enc"}"#,
            #"{\#(own), "kid": "larger", "alg": "ES384"}"#,
            #"{\#(own)}"#, "7",
        ])
        #expect(try await refusal(scene.token(), keys: keys) == nil)
        for name in ["secret", "odd", "sealed", "larger"] {
            #expect(try await refusal(scene.token(key: name), keys: keys) == .key, "\(name)")
        }
    }

    @Test("RSA and EdDSA keys verify too")
    func otherKeys() async throws {
        let rsa = try Insecure.RSA.PrivateKey(
            backing: _RSA.Signing.PrivateKey(keySize: .bits2048)
        )
        let numbers = try rsa.publicKey.getKeyPrimitives()
        let edwards = try EdDSA.PrivateKey()
        let keys = try scene.keySet([
            """
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": "\(numbers.modulus.base64URL)",
             "e": "\(numbers.publicExponent.base64URL)"}
            """,
            """
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA",
             "x": "\(edwards.publicKey.rawRepresentation.base64URL)"}
            """,
        ])
        let signer = JWTKeyCollection()
        await signer.add(rsa: rsa, digestAlgorithm: .sha256, kid: "rsa")
        await signer.add(eddsa: edwards, kid: "ed")
        for name in ["rsa", "ed"] {
            let token = try await signer.sign(
                IdentityClaims(IdentityScene.claims),
                kid: JWKIdentifier(string: name)
            )
            #expect(try await refusal(token, keys: keys) == nil, "\(name)")
        }
    }
}

extension Data {
    /// Base64 in the alphabet of addresses, without padding.
    fileprivate var base64URL: String {
        base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }
}
