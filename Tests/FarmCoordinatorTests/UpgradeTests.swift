import FarmModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite("Releases side by side", .database, .timeLimit(.minutes(10))) struct UpgradeTests {
    @Test("who asks in the moment in which a newer release moves the schema is to ask again")
    func moved() async throws {
        let pool = try TestDatabase.pool()
        try await pool.execute("CREATE TABLE moved AS SELECT 1 AS n")
        let router = Router(context: FarmRequestContext.self)
        router.add(middleware: ProblemMiddleware())
        router.get("/") { _, _ in
            let rows = try await pool.withTransaction { connection in
                // The plan of a statement behind this one cannot be made anew without its notice.
                _ = try await connection.query("SELECT \(1)::integer")
                return try await connection.query("SELECT * FROM moved WHERE n > \(0)")
            }
            return "\(rows.count)"
        }
        try await Application(router: router).test(.router) { client in
            func ask() async throws -> TestResponse {
                try await client.executeRequest(uri: "/", method: .get, headers: [:], body: nil)
            }
            #expect(try await ask().status == .ok)
            try await pool.execute("ALTER TABLE moved ADD COLUMN word text")
            let refused = try await ask()
            #expect(refused.status == .serviceUnavailable)
            let problem = try FarmJSON.decode(
                ProblemDetails.self,
                from: Data(refused.body.readableBytesView)
            )
            #expect(problem.kind == .unavailable)
            #expect(try await ask().status == .ok)
        }
    }

    /// A message as a later release might write it, with something that this one does not know.
    private func later(_ message: some Encodable) throws -> Data {
        let text = try FarmJSON.text(message)
        return Data((text.dropLast() + ",\"later\":{\"kind\":[1,null,\"x\"]}}").utf8)
    }

    @Test("what a worker of a later release says besides is passed over")
    func laterWorker() async throws {
        try await TestFarm.withAPI { farm in
            var request = RegistrationRequest(name: "w", model: TestFarm.model)
            request.speed = 1e12
            let answer = try await farm.send(.post, "/v1/workers", later(request))
            #expect(answer.status.kind == .successful)
            let worker = try FarmJSON.decode(
                RegistrationAnswer.self,
                from: Data(answer.body.readableBytesView)
            )
            _ = try await farm.submit("parameters: {prompt: a}")
            let claim = try await farm.send(
                .post,
                "/v1/workers/\(worker.id)/claim",
                later(ClaimRequest(epoch: worker.epoch, waitSeconds: 1))
            )
            let tasks = try FarmJSON.decode(
                ClaimAnswer.self,
                from: Data(claim.body.readableBytesView)
            ).tasks
            let fence = try #require(tasks.first).fence
            var beat = HeartbeatRequest(epoch: worker.epoch, state: .busy)
            beat.running = [AttemptProgress(fence: fence, image: 0, step: 1, steps: 4)]
            for (path, message) in [
                ("/v1/workers/\(worker.id)/heartbeat", try later(beat)),
                ("/v1/attempts/\(fence.attempt)/release", try later(AttemptRequest(fence: fence))),
            ] {
                #expect(try await farm.send(.post, path, message).status == .ok, "\(path)")
            }
        }
    }

    @Test("what a coordinator of a later release answers besides is passed over")
    func laterCoordinator() async throws {
        try await TestFarm.withAPI { farm in
            let worker: RegistrationAnswer = try await farm.call(
                .post,
                "/v1/workers",
                RegistrationRequest(name: "w", model: TestFarm.model)
            )
            #expect(try FarmJSON.decode(RegistrationAnswer.self, from: later(worker)) == worker)
            let job = try await farm.submit("parameters: {prompt: a}")
            let read = try FarmJSON.decode(JobView.self, from: later(job))
            #expect(read.id == job.id && read.images == job.images && read.state == job.state)
            let claim: ClaimAnswer = try await farm.call(
                .post,
                "/v1/workers/\(worker.id)/claim",
                ClaimRequest(epoch: worker.epoch, waitSeconds: 1)
            )
            #expect(claim.tasks.count == 1)
            #expect(try FarmJSON.decode(ClaimAnswer.self, from: later(claim)) == claim)
            let beat: HeartbeatAnswer = try await farm.call(
                .post,
                "/v1/workers/\(worker.id)/heartbeat",
                HeartbeatRequest(epoch: worker.epoch)
            )
            #expect(try FarmJSON.decode(HeartbeatAnswer.self, from: later(beat)) == beat)
        }
    }

    @Test("a worker of another protocol is told which of the two is older", arguments: [1, 3])
    func otherProtocol(version: Int) async throws {
        try await TestFarm.withAPI { farm in
            var request = RegistrationRequest(name: "w", model: TestFarm.model)
            request.protocolVersion = version
            let problem: ProblemDetails = try await farm.call(.post, "/v1/workers", request)
            #expect(problem.kind == .malformed)
            let older = version == 1 ? "upgrade the worker" : "upgrade the coordinator"
            #expect(problem.detail?.contains(older) == true, "\(problem)")
        }
    }
}
