import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct ControlTests {
    @Test("a list comes in pages whose cursors meet, and each job once")
    func pages() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            var made: [JobID] = []
            for number in 0..<5 {
                made.append(try await farm.submit("name: n\(number)\nparameters: {prompt: a}").id)
            }
            var seen: [JobID] = []
            var next: String?
            repeat {
                let query = next.map { "&after=\($0)" } ?? ""
                let page: Page<JobView> = try await farm.call(.get, "/v1/jobs?limit=2\(query)")
                #expect(page.items.count <= 2)
                seen += page.items.map(\.id)
                next = page.next
            } while next != nil
            #expect(seen == made.reversed())
            let named: Page<JobView> = try await farm.call(.get, "/v1/jobs?name=n3")
            #expect(named.items.map(\.id) == [made[3]])
            let running: Page<JobView> = try await farm.call(.get, "/v1/jobs?state=running")
            #expect(running.items.isEmpty)
            for query in ["limit=0", "limit=x", "after=x", "state=x"] {
                #expect(try await farm.problem(.get, "/v1/jobs?\(query)") == .malformed)
            }
        }
    }

    @Test("a job says how its tasks stand and what they ask of a worker")
    func taskSummary() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let plain = try await farm.submit("parameters: {prompt: a}")
            #expect(plain.tasks == TaskTally(total: 1, live: 1, leased: 0))
            #expect(plain.requirements == nil)
            let job = try await farm.submit(
                """
                parameters: {prompt: a, seed: 1-6}
                chunk: {count: 2}
                requirements: {pool: default, precision: float32}
                """
            )
            _ = try await farm.call(.post, "/v1/jobs/\(plain.id)/cancel", as: JobView.self)
            let task = try await farm.task(worker)
            #expect(task.job == job.id)
            let view: JobView = try await farm.call(.get, "/v1/jobs/\(job.id)")
            #expect(view.tasks == TaskTally(total: 3, live: 3, leased: 1))
            #expect(
                view.requirements == JobRequirements(precision: "float32", pool: "default")
            )
            // The attempt may take four times what is predicted, at least two minutes.
            let predicted = try #require(task.predictedSeconds)
            #expect(task.timeLimitSeconds == max(120, 4 * predicted))
            var beat = HeartbeatRequest()
            beat.speed = 1
            _ = try await farm.call(
                .post,
                "/v1/workers/\(worker)/heartbeat",
                beat,
                as: HeartbeatAnswer.self
            )
            let slow = try await farm.task(worker)
            #expect(slow.predictedSeconds.map { $0 > 1e6 } == true)
            #expect(slow.timeLimitSeconds == slow.predictedSeconds.map { 4 * $0 })
        }
    }

    @Test("images and tasks come in pages too")
    func longLists() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let job = try await farm.submit(
                "parameters: {prompt: a, seed: 1-7}\nchunk: {count: 2}"
            )
            let first: Page<ImageView> = try await farm.call(
                .get,
                "/v1/jobs/\(job.id)/images?limit=4"
            )
            #expect(first.items.map(\.index) == [0, 1, 2, 3])
            let cursor = try #require(first.next)
            let rest: Page<ImageView> = try await farm.call(
                .get,
                "/v1/jobs/\(job.id)/images?limit=4&after=\(cursor)"
            )
            #expect(rest.items.map(\.index) == [4, 5, 6])
            #expect(rest.next == nil)
            let tasks: Page<TaskView> = try await farm.call(
                .get,
                "/v1/jobs/\(job.id)/tasks?limit=3"
            )
            #expect(tasks.items.map(\.number) == [0, 1, 2])
            #expect(tasks.next != nil)
        }
    }

    @Test("a paused job gives out nothing until it is resumed")
    func pause() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a}")
            let paused: JobView = try await farm.call(.post, "/v1/jobs/\(job.id)/pause")
            #expect(paused.state == .paused)
            #expect(try await farm.claim(worker).tasks.isEmpty)
            let why: Page<WhyView> = try await farm.call(.get, "/v1/jobs/\(job.id)/why")
            #expect(why.items.map(\.reason) == [.jobPaused])
            let resumed: JobView = try await farm.call(.post, "/v1/jobs/\(job.id)/resume")
            #expect(resumed.state == .pending)
            #expect(try await farm.claim(worker).tasks.count == 1)
        }
    }

    @Test("a priority is its owner's to change; lifting is an operator's")
    func prioritize() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let job = try await farm.submit("parameters: {prompt: a}", token: alice)
            let path = "/v1/jobs/\(job.id)"
            let higher: JobView = try await farm.call(
                .patch,
                path,
                PriorityRequest(priority: 80),
                token: alice
            )
            #expect(higher.priority == 80)
            let lift = PriorityRequest(isLifted: true)
            #expect(try await farm.problem(.patch, path, lift, token: alice) == .notAllowed)
            let lifted: JobView = try await farm.call(.patch, path, lift)
            #expect(lifted.isLifted == true)
            let wrong = PriorityRequest(priority: 101)
            #expect(try await farm.problem(.patch, path, wrong) == .malformed)
        }
    }

    @Test("a deletion is shown before it is done, and refused while the job lives")
    func delete() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("name: n\nparameters: {prompt: a}")
            let path = "/v1/jobs/\(job.id)"
            #expect(try await farm.problem(.delete, path) == .wrongState)
            let task = try await farm.task(worker)
            _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
            let preview: DeletePreview = try await farm.call(.delete, path + "?what_if=true")
            #expect(preview.images == 1)
            #expect(preview.outputs == 1)
            #expect(!preview.isDeleted)
            #expect(try await farm.send(.get, path).status == .ok)
            let deleted: DeletePreview = try await farm.call(.delete, path)
            #expect(deleted.isDeleted)
            #expect(try await farm.problem(.get, path) == .notFound)
        }
    }

    @Test("an archive holds the delivered pictures under their names")
    func archive() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("name: n\nparameters: {prompt: a, seed: 1-2}")
            let pictures = [try TestFarm.picture(10), try TestFarm.picture(200)]
            for _ in 0..<2 {
                guard let task = try await farm.claim(worker).tasks.first else { break }
                for image in task.images {
                    _ = try await farm.deliver(
                        task,
                        image.index,
                        pictures[image.index],
                        isFinal: image.index == task.images.last?.index
                    )
                }
            }
            let response = try await farm.send(.get, "/v1/jobs/\(job.id)/archive")
            #expect(response.headers[.contentType] == "application/zip")
            #expect(response.headers[.contentDisposition] == "attachment; filename=\"n.zip\"")
            let bytes = Data(response.body.readableBytesView)
            for (index, picture) in pictures.enumerated() {
                #expect(bytes.firstRange(of: picture) != nil)
                #expect(bytes.firstRange(of: Data("n/\(index)-s\(index + 1).png".utf8)) != nil)
            }
        }
    }

    @Test("what an operator does is in the audit with who did it")
    func audit() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register("node")
            let token = try await farm.token("olga", .operator)
            _ = try await farm.send(.post, "/v1/workers/node/drain", as: token)
            _ = try await farm.send(.post, "/v1/farm/pause", as: token)
            let trail: Page<AuditView> = try await farm.call(.get, "/v1/audit?limit=2")
            #expect(trail.items.map(\.actor) == ["olga", "olga"])
            #expect(trail.items.map(\.number) == trail.items.map(\.number).sorted(by: >))
        }
    }

    @Test("the audit is narrowed by who, what, of what and when, and read page by page")
    func auditFilter() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register("node")
            let token = try await farm.token("olga", .operator)
            for path in ["farm/pause", "workers/node/drain", "workers/node/wake", "farm/resume"] {
                _ = try await farm.send(.post, "/v1/\(path)", as: token)
            }
            func actions(_ query: String) async throws -> [String] {
                let page: Page<AuditView> = try await farm.call(.get, "/v1/audit?\(query)")
                return page.items.map(\.action)
            }
            let mine = try await actions("actor=olga&order=oldest")
            #expect(mine.count == 4)
            #expect(try await actions("actor=olga") == mine.reversed())
            #expect(try await actions("actor=olga&action=\(mine[0])") == [mine[0]])
            let word = String(mine[1].prefix { $0 != "." })
            #expect(try await actions("actor=olga&action=\(word)") == [mine[2], mine[1]])
            #expect(try await actions("actor=olga&action=\(word.dropLast())") == [])
            #expect(try await actions("actor=nobody") == [])
            #expect(try await actions("actor=olga&since=2100-01-01T00:00:00Z") == [])
            #expect(try await actions("actor=olga&until=2100-01-01T00:00:00.5Z").count == 4)
            #expect(try await actions("actor=olga&until=2000-01-01T00:00:00Z") == [])

            var read: [String] = []
            var path: String? = "/v1/audit?actor=olga&order=oldest&limit=3"
            while let next = path {
                let page: Page<AuditView> = try await farm.call(.get, next)
                read += page.items.map(\.action)
                path = page.next.map { "/v1/audit?actor=olga&order=oldest&limit=3&after=\($0)" }
            }
            #expect(read == mine)
            for wrong in ["order=up", "since=today", "until=1"] {
                #expect(try await farm.problem(.get, "/v1/audit?\(wrong)") == .malformed)
            }
        }
    }

    @Test("an owner's rule of retention is made, listed and taken away")
    func retention() async throws {
        try await TestFarm.withAPI { farm in
            let path = "/v1/retention/alice"
            let made: RetentionView = try await farm.call(
                .put,
                path,
                RetentionRequest(outputs: "720h", history: "forever")
            )
            #expect(made == RetentionView(owner: "alice", outputs: "720h", history: "forever"))
            let changed: RetentionView = try await farm.call(
                .put,
                path,
                RetentionRequest(outputs: "90s")
            )
            #expect(changed == RetentionView(owner: "alice", outputs: "90s"))
            let listed: Page<RetentionView> = try await farm.call(.get, "/v1/retention")
            #expect(listed.items == [changed])
            for wrong in [
                RetentionRequest(), RetentionRequest(outputs: "a while"),
                RetentionRequest(history: "-1s"),
            ] {
                #expect(try await farm.problem(.put, path, wrong) == .malformed)
            }
            #expect(try await farm.send(.delete, path).status == .noContent)
            #expect(try await farm.problem(.delete, path) == .notFound)
        }
    }

    @Test("weights of owners are set and listed; the capacity counts workers and what waits")
    func accounts() async throws {
        try await TestFarm.withAPI { farm in
            let set: AccountView = try await farm.call(
                .put,
                "/v1/accounts/alice",
                AccountRequest(weight: 2)
            )
            #expect(set.weight == 2)
            let wrong = AccountRequest(weight: 0)
            #expect(try await farm.problem(.put, "/v1/accounts/alice", wrong) == .malformed)
            let listed: Page<AccountView> = try await farm.call(.get, "/v1/accounts")
            #expect(listed.items.first { $0.owner == "alice" }?.weight == 2)
            _ = try await farm.register()
            _ = try await farm.submit("parameters: {prompt: a, seed: 1-3}\nchunk: {count: 1}")
            let capacity: CapacityView = try await farm.call(.get, "/v1/capacity")
            #expect(capacity.workers == 1)
            #expect(capacity.flopsPerSecond == 1e12)
            #expect(capacity.waitingTasks == 3)
            #expect(capacity.pools.map(\.pool) == ["default"])
            #expect(capacity.pools.first?.images == 3)
            #expect(capacity.pools.first?.recommended == 1)
            // A pool whose workers are gone tells that it wants some, or none.
            let last = try await farm.register("evening") { $0.pool = "night" }
            _ = try await farm.store.leaveWorker(last.id, epoch: last.epoch)
            let emptied: CapacityView = try await farm.call(.get, "/v1/capacity")
            let night = try #require(emptied.pools.first { $0.pool == "night" })
            #expect(night.workers == 0 && night.recommended == 0)
        }
    }

    @Test("models are recorded with their files, one is the default, one in use stays")
    func models() async throws {
        try await TestFarm.withAPI { farm in
            let data = Data("weights".utf8)
            let file = ModelFileView(
                path: "model.safetensors",
                digest: BlobDigest(of: data),
                size: Int64(data.count)
            )
            let request = ModelRequest(
                digest: "other-digest",
                defaults: TestFarm.model.defaults,
                files: [file]
            )
            #expect(try await farm.problem(.put, "/v1/models/big", request) == .missingBlobs)
            _ = try await farm.send(.put, "/v1/blobs/\(file.digest)", data)
            #expect(
                try await farm.send(.put, "/v1/models/big", FarmJSON.encode(request)).status
                    == .created
            )
            let view: ModelView = try await farm.call(.get, "/v1/models/big")
            #expect(view.files == [file])
            #expect(view.workers == 0)
            _ = try await farm.register()
            let made: ModelView = try await farm.call(.post, "/v1/models/tiny/default")
            #expect(made.isDefault)
            #expect(made.workers == 1)
            let job = try await farm.submit("parameters: {prompt: a}")
            #expect(job.model == "tiny")
            #expect(try await farm.send(.delete, "/v1/models/big").status == .noContent)
            #expect(try await farm.problem(.get, "/v1/models/big") == .notFound)
        }
    }
}
