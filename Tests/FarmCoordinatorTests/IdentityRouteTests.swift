import FarmModel
import FarmStore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct IdentityRouteTests {
    /// Lends an API that an identity provider's tokens open, by a file of its keys.
    private func withAPI(
        _ body: @escaping @Sendable (TestFarm, IdentityScene) async throws -> Void
    ) async throws {
        let scene = IdentityScene()
        let path = FileManager.default.temporaryDirectory.path + "/keys-\(UUID().uuidString)"
        try scene.keySet().write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        var settings = CoordinatorAPISettings()
        settings.blobReserve = 0
        settings.identity = IdentityScene.provider(.file(path))
        try await TestFarm.withAPI(settings: settings) { try await body($0, scene) }
    }

    private func claims(
        _ name: String = "anna",
        _ role: String = "artists",
        for seconds: Double = 300
    ) -> [String: ClaimValue] {
        var claims = IdentityScene.claims
        claims["sub"] = .text(name)
        claims["roles"] = .text(role)
        claims["exp"] = .number(Date().timeIntervalSince1970 + seconds)
        return claims
    }

    @Test("who bears a provider's token acts as its owner in its role, and is not stored")
    func acting() async throws {
        try await withAPI { farm, scene in
            _ = try await farm.register()
            let anna = try await scene.token(claims())
            let job = try await farm.submit("parameters: {prompt: a}", token: anna)
            #expect(job.owner == "oidc:login.example/realms/farm:anna")
            let otto = try await scene.token(claims("otto"))
            #expect(try await farm.problem(.get, "/v1/jobs/\(job.id)", token: otto) == .notFound)
            let guest = try await scene.token(claims("anna", "guests"))
            #expect(try await farm.send(.get, "/v1/jobs/\(job.id)", as: guest).status == .ok)
            let cancel = "/v1/jobs/\(job.id)/cancel"
            #expect(try await farm.problem(.post, cancel, token: guest) == .notAllowed)
            #expect(try await farm.problem(.get, "/v1/tokens", token: anna) == .notAllowed)
            let admin = try await scene.token(claims("root", "farm-admins"))
            let tokens: Page<TokenView> = try await farm.call(.get, "/v1/tokens", token: admin)
            #expect(tokens.items.isEmpty)
            let local = TokenRequest(owner: job.owner, role: .submitter)
            #expect(try await farm.problem(.post, "/v1/tokens", local) == .malformed)
        }
    }

    @Test("a token that does not count is answered as an unknown one, and counted as one")
    func refused() async throws {
        try await withAPI { farm, scene in
            for claims in [claims(for: -61), claims("anna", "staff")] {
                let token = try await scene.token(claims)
                #expect(try await farm.problem(.get, "/v1/jobs", token: token) == .unauthorized)
            }
            let gate = farm.api.gate
            await #expect(throws: RequestExcess.self) {
                for number in 0..<200 {
                    let token = try await scene.token(claims("anna", "staff-\(number)"))
                    _ = try await gate.caller(bearing: token, from: "192.0.2.1")
                }
            }
        }
    }

    @Test("a token that is remembered is over at its end all the same")
    func end() async throws {
        let tokens = FarmTokens(admin: "the-admin", lifetime: .seconds(3600)) { secret in
            var caller = Caller(owner: "oidc:x:anna", role: .viewer)
            caller.endsAt = Date(timeIntervalSinceNow: secret == "over" ? -1 : 3600)
            return caller
        }
        for (secret, isKept) in [("over", false), ("good", true)] {
            _ = try await tokens.caller(bearing: secret)
            #expect((tokens.remembered(secret, within: .seconds(600)) != nil) == isKept)
        }
    }

    @Test("the page signs in by a provider's token, for as long as that is good")
    func session() async throws {
        try await withAPI { farm, scene in
            let token = try await scene.token(claims())
            let body = try FarmJSON.encode(SessionRequest(token: token))
            let made = try await farm.send(.post, "/v1/session", body, headers: [:])
            #expect(made.status == .ok)
            let cookie = try #require(made.headers[.setCookie])
            let age = try #require(cookie.firstMatch(of: /Max-Age=([0-9]+)/).map { Int($0.1) ?? 0 })
            #expect((1...360).contains(age))
            let who = try await farm.send(
                .get,
                "/v1/session",
                headers: [.cookie: "dreamfarm_session=\(token)"]
            )
            #expect(who.status == .ok)
            var long = claims()
            long["groups"] = .text(String(repeating: "a", count: 4000))
            let sign = SessionRequest(token: try await scene.token(long))
            #expect(try await farm.problem(.post, "/v1/session", sign) == .tooLarge)
        }
    }

    @Test(
        "a provider's settings that do not go together are told by name",
        arguments: [
            (["oidc-audience": "a"], "--oidc-audience"),
            (["oidc-issuer": "i"], "--oidc-audience"),
            (["oidc-issuer": "i", "oidc-audience": "a"], "--oidc-keys"),
            (["oidc-issuer": "i", "oidc-audience": "a", "oidc-keys": "k"], "--oidc-roles"),
            (
                [
                    "oidc-issuer": "i", "oidc-audience": "a", "oidc-keys": "http://login/keys",
                    "oidc-roles": "a=viewer",
                ], "--oidc-keys"
            ),
            (
                [
                    "oidc-issuer": "i", "oidc-audience": "a", "oidc-keys": "k",
                    "oidc-roles": "a=worker",
                ], "--oidc-roles"
            ),
            (
                [
                    "oidc-issuer": "i", "oidc-audience": "a", "oidc-keys": "k",
                    "oidc-roles": "artists",
                ], "--oidc-roles"
            ),
            (
                [
                    "oidc-issuer": "i", "oidc-audience": "a", "oidc-keys": "k",
                    "oidc-roles": "a=viewer", "oidc-algorithms": "ES256,HS256",
                ], "--oidc-algorithms"
            ),
        ]
    )
    func settings(values: [String: String], name: String) throws {
        let source = SettingsSource(flags: values, environment: [:], file: [:])
        let error = #expect(throws: SettingsError.self) { _ = try IdentityProvider(source) }
        #expect(error?.path == name)
    }

    @Test("a provider is what the settings say")
    func provider() throws {
        #expect(
            try IdentityProvider(SettingsSource(flags: [:], environment: [:], file: [:])) == nil
        )
        let source = SettingsSource(
            flags: [
                "oidc-issuer": "https://login.example", "oidc-audience": "farm",
                "oidc-keys": "https://login.example/keys",
                "oidc-roles": "cn=a,cn=b=viewer",
            ],
            environment: ["DREAMFARM_OIDC_ROLES": "x=admin"],
            file: ["oidc-role-claim": "groups", "oidc-algorithms": "PS256"]
        )
        #expect(throws: SettingsError.self) { _ = try IdentityProvider(source) }
        var right = source
        right.flags["oidc-roles"] = "team=a=viewer,root=admin"
        let provider = try #require(try IdentityProvider(right))
        #expect(provider.roles == ["team=a": .viewer, "root": .admin])
        #expect(provider.keys == .address("https://login.example/keys"))
        #expect(provider.roleClaim == "groups")
        #expect(provider.ownerClaim == "sub")
        #expect(provider.algorithms == [.ps256])
        #expect(provider.owner("a:b") == "oidc:login.example:a:b")
        #expect(Set(provider.effective.map(\.0)) == Set(IdentityProvider.settingNames))
    }
}
