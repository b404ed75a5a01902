import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

/// What is logged of the changes that the farm makes.
@Suite(.database, .timeLimit(.minutes(10))) struct ChangeLogTests {
    /// Lends a farm and what it logs.
    private func withFarm(
        _ body: @escaping @Sendable (TestFarm, LogRecorder) async throws -> Void
    ) async throws {
        let log = LogRecorder()
        try await TestFarm.withAPI(logger: log.logger()) { try await body($0, log) }
    }

    private func fail(
        _ task: TaskAssignment,
        _ failureClass: FailureClass,
        at farm: TestFarm
    ) async throws {
        let request = FailureRequest(
            fence: task.fence,
            failureClass: failureClass,
            message: "it\nbroke"
        )
        let path = "/v1/attempts/\(task.fence.attempt)/fail"
        _ = try await farm.call(.post, path, request, as: AttemptAnswer.self)
    }

    @Test("the way of a job is a line a change, with the ids of what it is about")
    func job() async throws {
        try await withFarm { farm, log in
            let token = try await farm.token("ann", .submitter)
            let worker = try await farm.register("w") { $0.pool = "day" }.id
            let job = try await farm.submit(
                "name: n\nparameters: {prompt: a, seed: 1-2}\nchunk: {count: 2}",
                token: token
            ).id
            _ = try await farm.call(
                .post,
                "/v1/jobs/\(job)/pause",
                token: token,
                as: JobView.self
            )
            _ = try await farm.call(
                .post,
                "/v1/jobs/\(job)/resume",
                token: token,
                as: JobView.self
            )
            let task = try await farm.task(worker)
            for (place, image) in task.images.enumerated() {
                _ = try await farm.deliver(
                    task,
                    image.index,
                    TestFarm.picture(UInt8(place)),
                    isFinal: place == 1
                )
            }
            let ids = [
                "job": "\(job)", "task": "\(task.fence.task)",
                "attempt": "\(task.fence.attempt)", "worker": "\(worker)", "owner": "ann",
            ]
            let registered = try #require(log.fields(of: "Worker registered").first)
            #expect(registered["worker"] == "\(worker)" && registered["pool"] == "day")
            let submitted = try #require(log.fields(of: "Job submitted").first)
            #expect(submitted["job"] == "\(job)" && submitted["owner"] == "ann")
            #expect(submitted["images"] == "2" && submitted["name"] == "n")
            for change in ["Job paused", "Job resumed"] {
                let own = ["job": "\(job)", "owner": "ann", "by": "ann"]
                #expect(log.fields(of: change) == [own], "\(change)")
            }
            let claimed = ids.merging(["pool": "day", "images": "2"]) { $1 }
            #expect(log.fields(of: "Task claimed") == [claimed])
            let delivered = log.fields(of: "Image delivered")
            #expect(delivered.map { $0["image"] } == ["0", "1"])
            for fields in delivered {
                #expect(fields.filter { ids[$0.key] != nil } == ids)
            }
            #expect(
                log.fields(of: "Task succeeded") == [
                    ids.merging(["task_state": "succeeded"]) { $1 }
                ]
            )
            #expect(log.fields(of: "Job succeeded") == [["job": "\(job)", "owner": "ann"]])
            #expect(log.lines.allSatisfy { $0.level == .info })
        }
    }

    @Test("what is given back, fails, is cancelled, retried or deleted is told, with the reason")
    func ends() async throws {
        try await withFarm { farm, log in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a}").id
            let first = try await farm.task(worker)
            let release = AttemptRequest(fence: first.fence)
            _ = try await farm.call(
                .post,
                "/v1/attempts/\(first.fence.attempt)/release",
                release,
                as: AttemptAnswer.self
            )
            let released = try #require(log.fields(of: "Task released").first)
            #expect(released["attempt"] == "\(first.fence.attempt)")
            #expect(released["task_state"] == "ready" && released["worker_name"] == "w")
            try await fail(try await farm.task(worker), .deterministic, at: farm)
            let failed = try #require(log.fields(of: "Task failed").first)
            #expect(failed["job"] == "\(job)" && failed["class"] == "deterministic")
            #expect(failed["error"] == "it\nbroke" && failed["task_state"] == "failed")
            #expect(log.fields(of: "Job failed") == [["job": "\(job)", "owner": "admin"]])
            _ = try await farm.call(.post, "/v1/jobs/\(job)/retry", as: JobView.self)
            #expect(log.fields(of: "Job retried").first?["images"] == "1")
            _ = try await farm.task(worker)
            _ = try await farm.call(.post, "/v1/jobs/\(job)/cancel", as: JobView.self)
            let cancelled = try #require(log.fields(of: "Job cancelled").first)
            #expect(cancelled["job"] == "\(job)" && cancelled["leased"] == "1")
            #expect(cancelled["by"] == "admin" && cancelled["images"] == "1")
            _ = try await farm.send(.delete, "/v1/jobs/\(job)")
            #expect(log.fields(of: "Job deleted").first?["job"] == "\(job)")
        }
    }

    @Test("leases that lapse are told one by one, and many of them in one line")
    func lapses() async throws {
        try await withFarm { farm, log in
            var workers: [WorkerID] = []
            for number in 0..<24 { workers.append(try await farm.register("w\(number)").id) }
            _ = try await farm.submit("parameters: {prompt: a, seed: 1-25}\nchunk: {count: 1}")
            _ = try await farm.store.runExpiry()
            let task = try await farm.task(workers[0])
            try await lapse(farm)
            let lapsed = try #require(log.fields(of: "Task lapsed").first)
            #expect(lapsed["attempt"] == "\(task.fence.attempt)")
            #expect(lapsed["worker"] == "\(workers[0])" && lapsed["error"] != nil)
            let before = log.count(of: "Task lapsed")
            for worker in workers.dropFirst() { _ = try await farm.task(worker) }
            try await lapse(farm)
            #expect(log.count(of: "Task lapsed") == before)
            #expect(
                log.fields(of: "Tasks left their workers") == [["tasks": "23", "lapsed": "23"]]
            )
        }
    }

    private func lapse(_ farm: TestFarm) async throws {
        try await TestDatabase.pool().execute(
            "UPDATE lease SET deadline = now() - interval '1 s'"
        )
        _ = try await farm.store.runExpiry()
    }

    @Test("workers that drain, leave, are quarantined, fall silent or are removed are told")
    func workers() async throws {
        try await withFarm { farm, log in
            let (first, second) = (try await farm.register("a"), try await farm.register("b"))
            for wish in ["drain", "wake", "quarantine"] {
                _ = try await farm.call(
                    .post,
                    "/v1/workers/a/\(wish)",
                    WorkerStateRequest(reason: "for \(wish)"),
                    as: WorkerView.self
                )
            }
            let own = ["worker": "\(first.id)", "worker_name": "a", "pool": "default"]
            for (change, wish) in [
                ("Worker is to drain", "drain"), ("Worker woken", "wake"),
                ("Worker quarantined", "quarantine"),
            ] {
                let fields = own.merging(["by": "admin", "reason": "for \(wish)"]) { $1 }
                #expect(log.fields(of: change) == [fields], "\(change)")
            }
            let epoch = first.epoch
            _ = try await farm.send(.post, "/v1/workers/\(first.id)/leave?epoch=\(epoch)")
            #expect(
                log.fields(of: "Worker left") == [own.merging(["released": "0"]) { $1 }]
            )
            _ = try await farm.store.runExpiry()
            try await TestDatabase.pool().execute(
                "UPDATE worker SET last_seen_at = now() - interval '1 h' WHERE name = 'b'"
            )
            _ = try await farm.store.runExpiry()
            let lost = ["worker": "\(second.id)", "worker_name": "b", "pool": "default"]
            #expect(log.fields(of: "Worker lost") == [lost])
            _ = try await farm.send(.delete, "/v1/workers/b")
            #expect(log.fields(of: "Worker removed").first?["worker"] == "\(second.id)")
        }
    }

    @Test("a group that is formed and dissolved is told with its id")
    func groups() async throws {
        try await withFarm { farm, log in
            for name in ["a", "b"] {
                _ = try await farm.register(name) { $0.group = GroupOffer() }
            }
            let request = GroupRequest(workers: ["a", "b"], name: "pair")
            let group: GroupView = try await farm.call(.post, "/v1/groups", request)
            let formed = try #require(log.fields(of: "Group formed").first)
            #expect(formed["group"] == "\(group.id)" && formed["group_name"] == "pair")
            #expect(formed["size"] == "2" && formed["pool"] == "default")
            _ = try await farm.call(
                .post,
                "/v1/groups/\(group.id)/dissolve",
                as: GroupView.self
            )
            let dissolved = try #require(log.fields(of: "Group dissolved").first)
            #expect(dissolved["group"] == "\(group.id)" && dissolved["by"] == "admin")
        }
    }

    @Test("a change that is undone, or that was made before, is not told")
    func unchanged() async throws {
        try await withFarm { farm, log in
            _ = try await farm.register()
            let job = try await farm.submit("parameters: {prompt: a}").id
            for _ in 0..<2 {
                _ = try await farm.call(.post, "/v1/jobs/\(job)/pause", as: JobView.self)
            }
            #expect(log.count(of: "Job paused") == 1)
            let missing = try await farm.problem(.post, "/v1/jobs/\(JobID.random())/cancel")
            #expect(missing == .notFound)
            #expect(log.count(of: "Job cancelled") == 0)
        }
    }

    @Test("no token, key or secret address is ever in a line")
    func secrets() async throws {
        try await withFarm { farm, log in
            let token = try await farm.token("ann", .submitter)
            let (worker, key) = try await farm.joined()
            let address = "https://hooks.example/a-secret-path"
            _ = try await farm.submit(
                "parameters: {prompt: a}\non_done: {webhook: \(address)}",
                token: token
            )
            let answer = try await farm.claim(worker.id, token: key)
            try await fail(try #require(answer.tasks.first), .deterministic, at: farm)
            let text = log.lines.map { "\($0.message) \($0.metadata)" }.joined(separator: "\n")
            #expect(text.contains("Job failed") && text.contains("Worker joined"))
            for secret in [TestFarm.admin, token, key, "a-secret-path", "dfj_"] {
                #expect(!text.contains(secret))
            }
        }
    }

    @Test("a coordinator tells of the duties that it takes and loses")
    func duties() async throws {
        let recorder = try await ServedFarm.run { farm, _ in
            try await farm.log.wait { lines in
                Set(lines.filter { $0.message == "Duty taken" }.map { "\($0.metadata)" }).count
                    == Duty.allCases.count
            }
        }
        #expect(recorder.count(of: "Duty lost") == Duty.allCases.count)
    }
}
