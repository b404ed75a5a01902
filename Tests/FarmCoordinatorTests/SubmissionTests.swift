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

/// Submissions that go wrong, come twice, or are very large, on a farm that serves.
///
/// One after the other, for some are long: others wait for a place beside them.
@Suite(.serialized, .database, .timeLimit(.minutes(10))) struct SubmissionTests {
    /// How many rows there are of what a submission writes.
    private func rows() async throws -> Int {
        let row = try await TestDatabase.pool().query(
            """
            SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM head)
                + (SELECT count(*) FROM task) + (SELECT count(*) FROM image)
                + (SELECT count(*) FROM ready) + (SELECT count(*) FROM event)
                + (SELECT count(*) FROM job_blob) + (SELECT count(*) FROM account) AS rows
            """
        ).first
        return try #require(row).decode("rows")
    }

    private func refusal(_ text: String, of farm: TestFarm) async throws -> ProblemDetails {
        let body = try FarmJSON.encode(farm.document(text))
        let response = try await farm.send(.post, "/v1/jobs", body)
        #expect(response.status == .unprocessableContent)
        #expect(response.headers[.contentType] == "application/problem+json")
        return try FarmJSON.decode(
            ProblemDetails.self,
            from: Data(response.body.readableBytesView)
        )
    }

    @Test("ten mistakes are ten messages, each with its path, and nothing is stored")
    func tenMistakes() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            _ = try await farm.register()
            let before = try await rows()
            let problem = try await refusal(
                """
                specification: dreamfarm/2
                name: a/b
                priority: 101
                colour: red
                parameters:
                  prompt: ["[ref#2] there", 7]
                  references: [{image: woman.png, task: face}, {image: a.png, task: ip, slot: 3}]
                  size: 100x64
                  seed: [1, 2, 3]
                combination: (prompt, seed)
                render: {stepps: 3}
                limits: {max_attempts: 0}
                """,
                of: farm
            )
            #expect(problem.kind == .invalidSpecification)
            let problems = try #require(problem.problems)
            #expect(
                problems.map(\.path).sorted() == [
                    "colour", "combination", "limits.max_attempts", "name", "parameters.prompt[1]",
                    "parameters.references[0].task", "parameters.size", "priority",
                    "render.stepps", "specification",
                ]
            )
            #expect(Set(problems.map(\.message)).count == 10)
            #expect(problems.allSatisfy { $0.message.count > 5 })
            #expect(try await rows() == before)
        }
    }

    @Test("two images of one name are refused with both, and nothing is stored")
    func oneName() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            _ = try await farm.register()
            let before = try await rows()
            let problem = try await refusal(
                """
                parameters: {prompt: [a, b, c], seed: 1-2}
                output: {name: "{job}/{seed}.png"}
                """,
                of: farm
            )
            #expect(problem.problems?.map(\.path) == ["output.name"])
            #expect(
                problem.problems?.first?.message.hasPrefix("images 0 and 2 are both named") == true
            )
            #expect(try await rows() == before)
        }
    }

    @Test(
        "a reference that is no image is refused by its path, and nothing is stored",
        arguments: [
            Data(), Data("no picture at all".utf8), Data([0x89, 0x50, 0x4e, 0x47, 13, 10]),
        ]
    )
    func noImage(bytes: Data) async throws {
        try await TestFarm.withAPI(live: true) { farm in
            _ = try await farm.register()
            _ = try await farm.send(.put, "/v1/blobs/\(BlobDigest(of: bytes))", bytes)
            let picture = try TestFarm.picture()
            _ = try await farm.send(.put, "/v1/blobs/\(BlobDigest(of: picture))", picture)
            let before = try await rows()
            let job = try JobSpecification(
                parsing: """
                    parameters:
                      prompt: a
                      references:
                        - [{image: good.png, task: ip}]
                        - [{image: good.png, task: ip}, {image: bad.png, task: id}]
                    """
            ).withDigests([
                "good.png": BlobDigest(of: picture),
                "bad.png": BlobDigest(of: bytes),
            ])
            let problem: ProblemDetails = try await farm.call(.post, "/v1/jobs", job.document)
            #expect(problem.kind == .invalidSpecification)
            #expect(problem.problems?.map(\.path) == ["parameters.references[1][1].image"])
            #expect(problem.problems?.first?.message.contains("bad.png") == true)
            #expect(try await rows() == before)
        }
    }

    @Test("of submissions of one id at once one is taken, its like join it, others are conflicts")
    func sameID() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            _ = try await farm.register()
            let bodies = try ["a", "b"].map { prompt in
                try FarmJSON.encode(farm.document("parameters: {prompt: \(prompt), seed: 1-3}"))
            }
            let answers = try await withThrowingTaskGroup(of: (Int, TestResponse).self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let body = bodies[number % 2]
                        return (number % 2, try await farm.send(.put, "/v1/jobs/night", body))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let made = answers.filter { $0.1.status == .created }
            #expect(made.count == 1)
            let winner = try #require(made.first).0
            #expect(answers.count { $0.0 == winner && $0.1.status == .ok } == 5)
            #expect(answers.count { $0.0 != winner && $0.1.status == .conflict } == 6)
            let ids = try answers.filter { $0.0 == winner }.map { answer in
                try FarmJSON.decode(JobView.self, from: Data(answer.1.body.readableBytesView)).id
            }
            #expect(Set(ids).count == 1)
            let jobs: Page<JobView> = try await farm.call(.get, "/v1/jobs")
            #expect(jobs.items.map(\.images.total) == [3])
        }
    }

    @Test("a job that no live worker can run waits, and runs when a fitting one comes")
    func fittingWorker() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let small = try await farm.register("small") { $0.memoryBytes = 1 << 30 }.id
            let text = "parameters: {prompt: a}\nrequirements: {memory: 4GiB, precision: int8}"
            let job = try await farm.submit(text)
            #expect(job.state == .pending)
            #expect(job.warnings?.contains { $0.message.contains("int8") } == true)
            func reasons() async throws -> [WaitingReason] {
                let page: Page<WhyView> = try await farm.call(.get, "/v1/jobs/\(job.id)/why")
                return page.items.map(\.reason)
            }
            #expect(try await reasons() == [.noPrecision])
            #expect(try await farm.claim(small).tasks.isEmpty)
            let quick = try await farm.register("quick") {
                $0.model.precision = "int8"
                $0.memoryBytes = 2 << 30
            }.id
            #expect(try await reasons() == [.noMemory])
            #expect(try await farm.claim(quick).tasks.isEmpty)
            let fitting = try await farm.register("fitting") {
                $0.model.precision = "int8"
                $0.memoryBytes = 4 << 30
            }.id
            let task = try await farm.task(fitting)
            #expect(task.job == job.id)
            #expect(try await reasons() == [])
            _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
            let ended: JobView = try await farm.call(.get, "/v1/jobs/\(job.id)")
            #expect(ended.state == .succeeded)
        }
    }

    @Test(
        "a job of a hundred thousand images is taken, and its first task can be claimed at once",
        arguments: [
            (
                """
                name: wall
                parameters: {prompt: [a, b, c, d, e, f, g, h, i, j], seed: 1-10000}
                output: {name: "{job}/{prompt.index}-{seed}.png"}
                chunk: {count: 100}
                """,
                "wall/9-10000.png"
            ),
            (
                """
                name: pairs
                parameters: {seed: 1-50000, steps: [\(SubmissionTests.steps)], prompt: [a, b]}
                combination: (seed, steps) * prompt
                output: {name: "{job}/{seed}-{steps}-{prompt.index}.png"}
                chunk: {count: 100}
                """,
                "pairs/50000-40-1.png"
            ),
        ]
    )
    func large(text: String, lastName: String) async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit(text)
            #expect(job.images.waiting == 100_000)
            let task = try await farm.task(worker)
            #expect(task.job == job.id)
            #expect(task.images.map(\.index) == Array(0..<100))
            let last: Page<ImageView> = try await farm.call(
                .get,
                "/v1/jobs/\(job.id)/images?after=99998"
            )
            #expect(last.items.map(\.index) == [99_999])
            #expect(last.items.map(\.name) == [lastName])
        }
    }

    /// Steps for a zip with fifty thousand seeds.
    private static let steps = (0..<50_000).map { String($0 % 40 + 1) }.joined(separator: ", ")
}
