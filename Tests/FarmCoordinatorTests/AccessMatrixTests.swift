import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

/// What a request shows of itself.
private enum Credential: CaseIterable, CustomTestStringConvertible {
    case none, unknown, expired, revoked
    case viewer, submitter, `operator`, admin, worker
    case joined, joining

    /// Who bears it; nil for nobody.
    var caller: Caller? {
        switch self {
        case .joined: Caller(owner: "fleet", role: .worker, binding: .worker(.random()))
        case .joining: Caller(owner: "fleet", role: .worker, binding: .join(.random()))
        default: role.map { Caller(owner: "someone", role: $0) }
        }
    }

    private var role: TokenRole? {
        switch self {
        case .none, .unknown, .expired, .revoked, .joined, .joining: nil
        case .viewer: .viewer
        case .submitter: .submitter
        case .operator: .operator
        case .admin: .admin
        case .worker: .worker
        }
    }

    var testDescription: String { "\(self)" }

    /// The token to show; nil for none.
    func token(_ farm: TestFarm) async throws -> String? {
        switch self {
        case .none: return nil
        case .unknown: return "no-such-token"
        case .expired:
            return try await farm.store.createToken(
                owner: "someone",
                role: .admin,
                expiresAt: Date(timeIntervalSinceNow: -1),
                by: "test"
            ).secret
        case .revoked:
            let made: TokenView = try await farm.call(
                .post,
                "/v1/tokens",
                TokenRequest(owner: "someone", role: .admin)
            )
            let removed = try await farm.send(.delete, "/v1/tokens/\(made.id)")
            #expect(removed.status == .noContent)
            return made.token
        case .joined: return try await farm.joined().key
        case .joining: return try await farm.joinToken(.pool).token
        default:
            return try await farm.token("someone", role ?? .viewer)
        }
    }
}

@Suite(.database) struct AccessMatrixTests {
    @Test(
        "every route lets in whom the table says, and no one else",
        arguments: Credential.allCases
    )
    fileprivate func matrix(credential: Credential) async throws {
        try await TestFarm.withAPI { farm in
            let token = try await credential.token(farm)
            let caller = credential.caller
            for route in CoordinatorAPI.declarations(of: farm.api) {
                let method = try #require(HTTPRequest.Method(route.method))
                let path = route.path.replacing(/\{[a-z0-9]+\}/, with: "x")
                let headers: HTTPFields = token.map { [.authorization: "Bearer \($0)"] } ?? [:]
                let answer = try await farm.send(method, path, Data("{}".utf8), headers: headers)
                let refusals: Set<HTTPResponse.Status> = [.unauthorized, .forbidden]
                guard route.access.admits(caller) else {
                    let expected: HTTPResponse.Status = caller == nil ? .unauthorized : .forbidden
                    #expect(answer.status == expected, "\(route)")
                    continue
                }
                // Signing in looks at the token in the body alone.
                let isSignIn = route.method == "POST" && route.path == "/v1/session"
                #expect(isSignIn || !refusals.contains(answer.status), "\(route)")
                #expect(answer.status.code < 500, "\(route)")
            }
        }
    }

    @Test(
        "what is another owner's is as if it were not there, on every route that names it",
        arguments: [TokenRole.viewer, .submitter]
    )
    func others(role: TokenRole) async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let mallory = try await farm.token("mallory", role)
            let job = try await farm.submit("parameters: {prompt: a}", token: alice)
            let task = try await farm.task(worker.id)
            let picture = try TestFarm.picture()
            _ = try await farm.deliver(task, task.images[0].index, picture, isFinal: true)
            let images: Page<ImageView> = try await farm.call(
                .get,
                "/v1/jobs/\(job.id)/images",
                token: alice
            )
            let things = [
                "job": "\(job.id)", "task": "\(task.fence.task)",
                "image": "\(try #require(images.items.first).id)",
                "sha256": "\(BlobDigest(of: picture))",
            ]
            let nothing = [
                "job": "\(JobID.random())", "task": "\(TaskID.random())",
                "image": "\(ImageID.random())", "sha256": "\(BlobDigest(ofText: "nothing"))",
            ]
            var count = 0
            for route in CoordinatorAPI.declarations(of: farm.api) {
                guard let part = route.path.firstMatch(of: /\{([a-z0-9]+)\}/)?.1,
                    let thing = things[String(part)], let missing = nothing[String(part)],
                    route.access.admits(Caller(owner: "mallory", role: role)),
                    // What is put under a name or a digest is the caller's own.
                    route.method != "PUT"
                else { continue }
                let method = try #require(HTTPRequest.Method(route.method))
                func answer(_ name: String) async throws -> TestResponse {
                    let path = route.path.replacing("{\(part)}", with: name)
                    return try await farm.send(method, path, Data("{}".utf8), as: mallory)
                }
                let (hidden, absent) = (try await answer(thing), try await answer(missing))
                #expect(hidden.status == .notFound, "\(route)")
                #expect(hidden.status == absent.status, "\(route)")
                let texts = [(hidden, thing), (absent, missing)].map { response, name in
                    String(buffer: response.body).replacing(name, with: "…")
                }
                #expect(texts[0] == texts[1], "\(route)")
                count += 1
            }
            #expect(count >= (role == .viewer ? 15 : 20), "\(count) routes name something")
            let still = try await farm.send(.get, "/v1/jobs/\(job.id)", as: alice)
            #expect(still.status == .ok)
        }
    }

    @Test("the table in the documentation is the one of the code")
    func table() async throws {
        try await TestFarm.withAPI { farm in
            let path =
                URL(filePath: #filePath).deletingLastPathComponent().path
                + "/../../docs/access.md"
            let document = try String(contentsOfFile: path, encoding: .utf8)
            let table = AccessTable.markdown(CoordinatorAPI.declarations(of: farm.api))
            #expect(document.hasSuffix("\n" + table), "its end is to be:\n\(table)")
        }
    }
}
