import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

/// Quotas and named limits as operators set them and submitters meet them.
@Suite(.database, .timeLimit(.minutes(10))) struct QuotaRouteTests {
    private func put(_ farm: TestFarm, _ body: String) async throws -> AccountView {
        let answer = try await farm.send(.put, "/v1/accounts/alice", Data(body.utf8))
        #expect(answer.status == .ok)
        return try FarmJSON.decode(from: Data(answer.body.readableBytesView))
    }

    @Test("a key that is left out keeps its quota, null takes it away, and each change is audited")
    func changes() async throws {
        try await TestFarm.withAPI { farm in
            let budget = #"{"seconds": 3600, "period": "week", "action": "hold"}"#
            var view = try await put(farm, #"{"max_images": 4, "budget": \#(budget)}"#)
            #expect(view.maxImages == 4 && view.imagesInFlight == 0 && view.blobBytes == nil)
            #expect(view.budget == ComputeBudget(seconds: 3600, period: .week, action: .hold))
            view = try await put(farm, #"{"max_blob_bytes": 1000, "weight": 2}"#)
            #expect(view.maxImages == 4 && view.weight == 2 && view.blobBytes == 0)
            view = try await put(farm, #"{"max_images": null, "priority_ceiling": 60}"#)
            #expect(view.maxImages == nil && view.priorityCeiling == 60 && view.budget != nil)
            view = try await put(farm, #"{"budget": null}"#)
            #expect(view.budget == nil && view.maxBlobBytes == 1000)
            for wrong in [
                #"{"max_images": -1}"#, #"{"max_blob_bytes": -1}"#, #"{"priority_ceiling": 101}"#,
                #"{"budget": {"seconds": -1, "period": "day", "action": "warn"}}"#,
                #"{"budget": {"seconds": 1, "period": "year", "action": "warn"}}"#,
            ] {
                let answer = try await farm.send(.put, "/v1/accounts/alice", Data(wrong.utf8))
                #expect(answer.status == .badRequest, "\(wrong)")
            }
            let trail: Page<AuditView> = try await farm.call(.get, "/v1/audit?limit=10")
            let told = trail.items.filter { $0.target == "alice" }
            #expect(
                told.map(\.action) == [
                    "account.limited", "account.limited", "account.limited", "account.weighted",
                    "account.limited",
                ]
            )
            #expect(told.first?.detail == .mapping(["budget": .string("none")]))
        }
    }

    @Test("a priority above the ceiling is refused with its path; an operator may give it")
    func ceiling() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let high = try farm.document("priority: 80\nparameters: {prompt: a}")
            let early: JobView = try await farm.call(.put, "/v1/jobs/early", high, token: alice)
            _ = try await put(farm, #"{"priority_ceiling": 60}"#)
            let refused: ProblemDetails = try await farm.call(
                .post,
                "/v1/jobs",
                high,
                token: alice
            )
            #expect(refused.kind == .invalidSpecification)
            #expect(refused.problems?.map(\.path) == ["priority"])
            // What was accepted before is not touched, and is found again.
            let again: JobView = try await farm.call(.put, "/v1/jobs/early", high, token: alice)
            #expect(again.id == early.id && again.priority == 80)
            let job = try await farm.submit("priority: 60\nparameters: {prompt: a}", token: alice)
            let path = "/v1/jobs/\(job.id)"
            let wish = PriorityRequest(priority: 61)
            #expect(try await farm.problem(.patch, path, wish, token: alice) == .notAllowed)
            let raised: JobView = try await farm.call(.patch, path, wish)
            #expect(raised.priority == 61)
        }
    }

    @Test("an owner beyond its bytes sends and submits nothing new; what it has, it may send again")
    func bytes() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            _ = try await put(farm, #"{"max_blob_bytes": 10}"#)
            func send(_ text: String) async throws -> TestResponse {
                let data = Data(text.utf8)
                return try await farm.send(
                    .put,
                    "/v1/blobs/\(BlobDigest(of: data))",
                    data,
                    as: alice
                )
            }
            #expect(try await send("six...").status == .created)
            let refused = try await send("seven..")
            #expect(refused.status == .forbidden)
            let problem: ProblemDetails = try FarmJSON.decode(
                from: Data(refused.body.readableBytesView)
            )
            #expect(problem.kind == .quotaExceeded)
            let detail = try #require(problem.detail)
            #expect(detail.contains("uses 6 B of 10 B"), "\(detail)")
            #expect(detail.contains("dreamfarm accounts set alice --max-blobs SIZE"), "\(detail)")
            let text = "parameters: {prompt: a}"
            _ = try await farm.submit(text, token: alice)
            #expect(try await send("four").status == .created)
            #expect(try await send("six...").status == .created)
            #expect(
                try await farm.problem(.post, "/v1/jobs", farm.document(text), token: alice)
                    == .quotaExceeded
            )
            let bob = try await farm.token("bob", .submitter)
            _ = try await farm.submit(text, token: bob)
        }
    }

    @Test("limits are set by operators and read by all; whose tasks have places, operators see")
    func limits() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let alice = try await farm.token("alice", .submitter)
            let text = "parameters: {prompt: a}\nrequirements: {limits: [nuke]}"
            let job = try await farm.submit(text, token: alice)
            #expect(job.requirements?.limits == ["nuke"])
            let warning = try #require(job.warnings?.first { $0.path == "requirements.limits" })
            #expect(warning.message.contains("nobody has set the limit 'nuke'"))
            let request = LimitRequest(count: 1)
            #expect(
                try await farm.problem(.put, "/v1/limits/nuke", request, token: alice)
                    == .notAllowed
            )
            #expect(
                try await farm.problem(.put, "/v1/limits/nuke", LimitRequest(count: -1))
                    == .malformed
            )
            let set: LimitView = try await farm.call(.put, "/v1/limits/nuke", request)
            #expect(set == LimitView(name: "nuke", count: 1, used: 0, jobs: []))
            #expect(try await farm.task(worker).job == job.id)
            let seen: Page<LimitView> = try await farm.call(.get, "/v1/limits", token: alice)
            #expect(seen.items == [LimitView(name: "nuke", count: 1, used: 1)])
            let all: Page<LimitView> = try await farm.call(.get, "/v1/limits")
            #expect(all.items.first?.jobs?.map(\.owner) == ["alice"])
            #expect(try await farm.send(.delete, "/v1/limits/nuke").status == .noContent)
            #expect(try await farm.problem(.delete, "/v1/limits/nuke") == .notFound)
            let twice = try farm.document(
                "parameters: {prompt: a}\nrequirements: {limits: [nuke, nuke]}"
            )
            let refused: ProblemDetails = try await farm.call(.post, "/v1/jobs", twice)
            #expect(refused.problems?.map(\.path) == ["requirements.limits[1]"])
        }
    }

    @Test("a submission is told of a budget of which much is used")
    func budget() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let budget = #"{"seconds": 0, "period": "day", "action": "hold"}"#
            _ = try await put(farm, #"{"budget": \#(budget)}"#)
            let job = try await farm.submit("parameters: {prompt: a}", token: alice)
            let warning = try #require(job.warnings?.first)
            #expect(warning.message.hasPrefix("it waits: the owner 'alice' uses 0 of 0 seconds"))
        }
    }
}
