import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct AccessTests {
    @Test("a request that needs a token is told which kind, and health needs none")
    func token() async throws {
        try await TestFarm.withAPI { farm in
            let bare = try await farm.send(.get, "/v1/jobs", headers: [:])
            #expect(bare.status == .unauthorized)
            #expect(bare.headers[.wwwAuthenticate] == "Bearer")
            for path in ["/healthz", "/readyz"] {
                #expect(try await farm.send(.get, path, headers: [:]).status == .ok)
            }
        }
    }

    @Test("a token that is revoked, or over, opens nothing any more")
    func revoked() async throws {
        try await TestFarm.withAPI { farm in
            let made: TokenView = try await farm.call(
                .post,
                "/v1/tokens",
                TokenRequest(owner: "o", role: .viewer)
            )
            let secret = try #require(made.token)
            #expect(try await farm.send(.get, "/v1/jobs", as: secret).status == .ok)
            let listed: Page<TokenView> = try await farm.call(.get, "/v1/tokens")
            #expect(listed.items.contains { $0.id == made.id && $0.token == nil })
            let revoked = try await farm.send(.delete, "/v1/tokens/\(made.id)")
            #expect(revoked.status == .noContent)
            #expect(try await farm.send(.get, "/v1/jobs", as: secret).status == .unauthorized)
            #expect(try await farm.problem(.delete, "/v1/tokens/\(made.id)") == .notFound)
            let over = try await farm.store.createToken(
                owner: "o",
                role: .admin,
                expiresAt: Date(timeIntervalSinceNow: -1),
                by: "test"
            ).secret
            #expect(try await farm.send(.get, "/v1/jobs", as: over).status == .unauthorized)
        }
    }

    @Test("a web page of another origin, or under another host's name, is refused")
    func origin() async throws {
        try await TestFarm.withAPI { farm in
            let headers: HTTPFields = [
                .authorization: "Bearer \(TestFarm.admin)", .origin: "http://evil.example",
            ]
            let response = try await farm.send(.get, "/v1/jobs", headers: headers)
            #expect(response.status == .forbidden)
        }
    }

    @Test("an owner sees its own jobs alone; an operator sees all")
    func owners() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .submitter)
            let watcher = try await farm.token("watcher", .operator)
            let job = try await farm.submit("parameters: {prompt: a}", token: alice)
            #expect(job.owner == "alice")
            let mine: Page<JobView> = try await farm.call(.get, "/v1/jobs", token: alice)
            #expect(mine.items.map(\.id) == [job.id])
            let others: Page<JobView> = try await farm.call(.get, "/v1/jobs", token: bob)
            #expect(others.items.isEmpty)
            let foreign: Page<JobView> = try await farm.call(
                .get,
                "/v1/jobs?owner=alice",
                token: bob
            )
            #expect(foreign.items.isEmpty)
            let all: Page<JobView> = try await farm.call(.get, "/v1/jobs", token: watcher)
            #expect(all.items.map(\.id) == [job.id])
            let images: Page<ImageView> = try await farm.call(
                .get,
                "/v1/jobs/\(job.id)/images",
                token: alice
            )
            let image = try #require(images.items.first).id
            let tasks: Page<TaskView> = try await farm.call(
                .get,
                "/v1/jobs/\(job.id)/tasks",
                token: alice
            )
            let task = try #require(tasks.items.first).id
            for path in [
                "/v1/jobs/\(job.id)", "/v1/jobs/\(job.id)/images", "/v1/jobs/\(job.id)/events",
                "/v1/jobs/\(job.id)/archive", "/v1/images/\(image)", "/v1/images/\(image)/content",
                "/v1/tasks/\(task)", "/v1/tasks/\(task)/log",
            ] {
                #expect(try await farm.problem(.get, path, token: bob) == .notFound, "\(path)")
            }
            for action in ["cancel", "pause", "retry"] {
                let path = "/v1/jobs/\(job.id)/\(action)"
                #expect(try await farm.problem(.post, path, token: bob) == .notFound)
            }
            #expect(try await farm.send(.get, "/v1/jobs/\(job.id)", as: watcher).status == .ok)
        }
    }

    @Test("the audit tells who submitted, joined and swept, and from where, and keeps all of it")
    func audit() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let job = try await farm.submit("parameters: {prompt: a}", token: alice)
            _ = try await farm.send(.post, "/v1/blobs/sweep")
            let trail: Page<AuditView> = try await farm.call(.get, "/v1/audit")
            let submitted = try #require(trail.items.first { $0.action == "job.submitted" })
            #expect(submitted.actor == "alice" && submitted.target == "\(job.id)")
            for action in ["job.submitted", "worker.registered", "blobs.swept"] {
                let entry = try #require(trail.items.first { $0.action == action })
                #expect(entry.origin == "127.0.0.1" || entry.origin == "::1")
            }
            let pool = try TestDatabase.pool()
            for change in ["UPDATE audit SET actor = 'bob'", "DELETE FROM audit", "TRUNCATE audit"]
            {
                await #expect(throws: DatabaseError.self) {
                    try await pool.execute("\(raw: change)")
                }
            }
            let after: Page<AuditView> = try await farm.call(.get, "/v1/audit")
            #expect(after.items == trail.items)
        }
    }

    @Test("a worker tells a viewer of its owner's tasks alone")
    func running() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .viewer)
            _ = try await farm.submit("parameters: {prompt: a}", token: alice)
            _ = try await farm.task(worker.id)
            func tasks(_ token: String) async throws -> Int {
                let view: WorkerView = try await farm.call(
                    .get,
                    "/v1/workers/\(worker.id)",
                    token: token
                )
                return view.running?.count ?? 0
            }
            #expect(try await tasks(alice) == 1)
            #expect(try await tasks(bob) == 0)
            #expect(try await tasks(TestFarm.admin) == 1)
        }
    }

    @Test("a method that a route does not take is told those that it takes")
    func method() async throws {
        try await TestFarm.withAPI { farm in
            for (path, allowed) in [
                ("/healthz", "GET"), ("/v1/tokens", "GET, POST"), ("/v1/blobs/missing", "POST"),
                ("/v1/jobs/x", "DELETE, GET, PATCH, PUT"),
            ] {
                let answer = try await farm.send(.trace, path)
                #expect(answer.status == .methodNotAllowed)
                #expect(answer.headers[.allow] == allowed)
            }
        }
    }

    @Test("an unknown route and an unknown id are problems of kind not-found")
    func notFound() async throws {
        try await TestFarm.withAPI { farm in
            for path in ["/v1/nothing", "/v1/jobs/\(JobID.random())", "/v1/jobs/no-such-key"] {
                let response = try await farm.send(.get, path)
                #expect(response.status == .notFound)
                #expect(response.headers[.contentType] == "application/problem+json")
                #expect(try await farm.problem(.get, path) == .notFound)
            }
        }
    }
}
