import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTransport
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import TestSupport
import Testing

@testable import FarmCoordinator
@testable import Postgres

/// A coordinator whose database goes and comes back, with all its duties and over its socket.
///
/// One after the other: each has a database server of its own.
@Suite(.serialized, .timeLimit(.minutes(10))) struct DatabaseOutageTests {
    /// The duties that a coordinator has.
    private static let duties: Set = [
        "expiry", "wake", "limits", "vacuum", "emptyHeads", "retention", "webhooks", "blobs",
        "gauges",
    ]

    @Test("requests are told to come back, streams stay, and all goes on when it is back")
    func outage() async throws {
        try await ServedFarm.run { farm, cluster in
            let worker: RegistrationAnswer = try await farm.call(
                "POST",
                "/v1/workers",
                RegistrationRequest(name: "w", instance: "w", model: TestFarm.model)
            )
            let document = try SpecificationValue(yaml: "parameters: {prompt: a}")
            let job: JobView = try await farm.call("PUT", "/v1/jobs/night", document)
            let stream = try await farm.open("/v1/jobs/\(job.id)/events")
            let claimPath = "/v1/workers/\(worker.id)/claim"
            let claim: ClaimAnswer = try await farm.call(
                "POST",
                claimPath,
                ClaimRequest(waitSeconds: 20)
            )
            let task = try #require(claim.tasks.first)
            async let waiting = farm.send("POST", claimPath, ClaimRequest(waitSeconds: 20))

            cluster.crash()
            let beat = HeartbeatRequest(epoch: worker.epoch, state: .busy)
            let delivery = DeliveryRequest(fence: task.fence, imageIndex: 0, isFinal: true)
            let picture = HTTPBody.bytes(try TestFarm.picture())
            for answer in [
                try await farm.send("GET", "/v1/jobs/\(job.id)"),
                try await farm.send("GET", "/v1/jobs", token: "someone's token that is unknown"),
                try await farm.send("PUT", "/v1/jobs/day", document),
                try await farm.send("POST", "/v1/workers/\(worker.id)/heartbeat", beat),
                try await farm.send("POST", claimPath, ClaimRequest(waitSeconds: 0)),
                try await farm.send("PUT", delivery.path, body: picture),
                try await farm.send("GET", "/readyz"),
            ] {
                #expect(answer.status == 503)
                #expect(answer.headers["retry-after"] == "2")
                let problem = try FarmJSON.decode(ProblemDetails.self, from: answer.body)
                #expect(problem.kind == .unavailable)
                #expect(problem.detail?.hasPrefix("the database does not answer") == true)
            }
            #expect(try await farm.send("GET", "/healthz").status == 200)
            // Whoever waited is told in the same way, or that there is nothing yet.
            let waited = try await waiting
            #expect([200, 503].contains(waited.status))

            #expect(try await cluster.revive())
            let found = try await farm.retried("GET", "/v1/jobs/night")
            #expect(found.status == 200, "\(farm.log.lines(from: .error))")
            #expect(try FarmJSON.decode(JobView.self, from: found.body).id == job.id)
            let delivered = try await farm.retried("PUT", delivery.path, body: picture)
            #expect([200, 201].contains(delivered.status))
            let events = try await EventText.read(stream, until: "job.succeeded")
            #expect(events.map(\.number) == Array(1...Int64(events.count)))
            #expect(events.first?.kind == .jobCreated)
            let next = try await farm.retried("PUT", "/v1/jobs/day", document)
            #expect(next.status == 201)
            var tasks: [TaskAssignment] = []
            while tasks.isEmpty {
                let answer = try await farm.retried(
                    "POST",
                    claimPath,
                    ClaimRequest(waitSeconds: 20)
                )
                tasks = try FarmJSON.decode(ClaimAnswer.self, from: answer.body).tasks
            }
            #expect(tasks.count == 1)
        }
    }

    @Test("an outage is one line of error, whatever fails in it, and so is the next one")
    func log() async throws {
        try await ServedFarm.run { farm, cluster in
            let lost = "Database does not answer"
            for outage in 1...2 {
                let before = farm.log.lines.count
                cluster.crash()
                try await farm.log.wait { lines in
                    let complaints = lines.dropFirst(before).compactMap { line in
                        line.metadata["duty"]?.description
                    }
                    return Self.duties.isSubset(of: complaints)
                        && lines.count { $0.message == lost } >= outage
                }
                let errors = farm.log.lines(from: .error)
                #expect(errors.map(\.message) == Array(repeating: lost, count: outage), "\(errors)")
                #expect(try await cluster.revive())
                try await farm.log.wait { lines in
                    lines.count { $0.message == "Database answers again" } >= outage
                }
                _ = try await farm.retried("GET", "/v1/jobs")
            }
            let errors = farm.log.lines(from: .error)
            #expect(errors.count == 2, "\(errors)")
        }
    }

    @Test("a pool that is taken whole for too long is told like a database that is away", .database)
    func exhausted() async throws {
        var configuration = try TestDatabase.configuration()
        configuration.maxConnections = 1
        configuration.waitTimeout = .milliseconds(1)
        let pool = PostgresPool(configuration)
        try await TestFarm.withAPI(pool: pool) { farm in
            try await pool.withConnection { connection in
                try await connection.execute("SELECT 1")
                let answer = try await farm.send(.get, "/v1/jobs")
                #expect(answer.status == .serviceUnavailable)
                #expect(answer.headers[.retryAfter] == "2")
            }
            #expect(try await farm.send(.get, "/v1/jobs").status == .ok)
        }
        await pool.close()
    }

    // MARK: - The outage itself

    private func loss() -> DatabaseError {
        DatabaseError(sqlState: nil, message: "gone", isConnectionLoss: true)
    }

    @Test("an outage begins once, and ends with an answer to what was asked after errors ceased")
    func findings() {
        let outage = DatabaseOutage()
        let start = ContinuousClock.now
        func moment(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }
        #expect(outage.finding(of: CancellationError(), since: start) == .unrelated)
        #expect(outage.finding(of: loss(), since: start, at: moment(1)) == .begins)
        #expect(outage.finding(of: loss(), since: start, at: moment(2)) == .known)
        // Asked before the last error, answered after it.
        #expect(!outage.isEnded(byAnswerTo: moment(1), at: moment(3)))
        // A server process has outlived its server.
        #expect(!outage.isEnded(byAnswerTo: moment(3), at: moment(3)))
        #expect(outage.isEnded(byAnswerTo: moment(4), at: moment(5)))
        #expect(!outage.isEnded(byAnswerTo: moment(5), at: moment(6)))
        // An error of the outage that is over comes late.
        #expect(outage.finding(of: loss(), since: moment(4), at: moment(7)) == .known)
        #expect(!outage.isEnded(byAnswerTo: moment(8), at: moment(9)))
        #expect(outage.finding(of: loss(), since: moment(6), at: moment(10)) == .begins)
    }
}
