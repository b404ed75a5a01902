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

/// A way in which tasks come to wait on a farm that serves, and what is seen of it.
enum WaitingScene: String, CaseIterable, Sendable {
    case noWorker
    case workerDrained
    case noMemory
    case noPrecision
    case noGroup
    case poolPaused
    case farmPaused
    case jobPaused
    case dependency
    case startAfter
    case backoff
    case draft
    case limit
    case namedLimit
    case quota
    case fairShare
    case behind
    case blobStoreFull

    /// The reason that is to be told.
    var reason: WaitingReason {
        switch self {
        case .noWorker, .workerDrained: .noWorker
        case .noMemory: .noMemory
        case .noPrecision: .noPrecision
        case .noGroup: .noGroup
        case .poolPaused, .farmPaused: .poolPaused
        case .jobPaused: .jobPaused
        case .dependency: .dependency
        case .startAfter: .startAfter
        case .backoff: .backoff
        case .draft: .draft
        case .limit, .namedLimit: .limit
        case .quota: .quota
        case .fairShare: .fairShare
        case .behind: .behind
        case .blobStoreFull: .blobStoreFull
        }
    }

    /// The settings of the farm on which it plays.
    var settings: CoordinatorAPISettings {
        var settings = CoordinatorAPISettings()
        // No disk has all of its room free.
        settings.blobReserve = self == .blobStoreFull ? 1 : 0
        return settings
    }

    /// What was brought about.
    struct Outcome: Sendable {
        var job: JobID
        /// How many of its tasks wait.
        var tasks = 1
        /// The figures that are to be told, as canonical JSON; nil for any.
        var details: [String: SpecificationValue?] = [:]
        /// What is to stand in the sentence.
        var advice: String
        /// A worker that claims and is not to get a task of the job.
        var claimant: WorkerID
        /// Takes the cause away, and returns a worker that then gets a task of the job; nil where
        /// nothing of this release takes it away.
        var mend: (@Sendable () async throws -> WorkerID)?
    }

    /// Brings it about by calls of the API alone.
    func play(on farm: TestFarm) async throws -> Outcome {
        switch self {
        case .noWorker, .workerDrained, .noMemory, .noPrecision, .noGroup:
            try await playNeeds(on: farm)
        case .poolPaused, .farmPaused, .jobPaused, .blobStoreFull: try await playStops(on: farm)
        case .dependency, .startAfter, .backoff: try await playMoments(on: farm)
        case .draft: try await playDraft(on: farm)
        case .namedLimit, .quota: try await playBounds(on: farm)
        case .limit, .fairShare, .behind: try await playTurns(on: farm)
        }
    }

    // MARK: - What no worker has

    private func playNeeds(on farm: TestFarm) async throws -> Outcome {
        let worker = try await farm.register { $0.memoryBytes = 8 << 30 }.id
        func job(_ needs: String) async throws -> JobID {
            try await farm.submit("parameters: {prompt: a}\nrequirements: \(needs)").id
        }
        switch self {
        case .workerDrained:
            let job = try await farm.submit("parameters: {prompt: a}").id
            let drained = try await farm.send(.post, "/v1/workers/w/drain")
            #expect(drained.status == .ok)
            return Outcome(
                job: job,
                details: ["model": .string("tiny")],
                advice: "start one with: dreamfarm-worker run --model DIR",
                claimant: worker,
                mend: {
                    _ = try await farm.send(.post, "/v1/workers/w/wake")
                    return worker
                }
            )
        case .noMemory:
            return Outcome(
                job: try await job("{memory: 16GiB}"),
                details: ["needed": .integer(16 << 30), "largest": .integer(8 << 30)],
                advice: "needs 16 GiB of memory",
                claimant: worker,
                mend: { try await farm.register("large") { $0.memoryBytes = 16 << 30 }.id }
            )
        case .noPrecision:
            return Outcome(
                job: try await job("{precision: int8}"),
                details: ["wanted": .string("int8"), "offered": .list([.string("float32")])],
                advice: "start one with --precision int8",
                claimant: worker,
                mend: { try await farm.register("fast") { $0.model.precision = "int8" }.id }
            )
        case .noGroup:
            return Outcome(
                job: try await job("{group: 2}"),
                details: [
                    "size": .integer(2), "workers": .integer(0), "missing": .integer(2),
                    "model": .string("tiny"), "members": .list([]), "doings": .list([]),
                    "is_final": .bool(true),
                ],
                advice: "dreamfarm-worker run --model DIR --group auto",
                claimant: worker
            )
        default:
            return Outcome(
                job: try await job("{pool: night, tags: [amx]}"),
                details: [
                    "model": .string("tiny"), "pool": .string("night"),
                    "tags": .list([.string("amx")]),
                ],
                advice: "dreamfarm-worker run --model DIR --pool night --tag amx",
                claimant: worker,
                mend: {
                    try await farm.register("owl") {
                        $0.pool = "night"
                        $0.tags = ["amx", "big"]
                    }.id
                }
            )
        }
    }

    // MARK: - What somebody stopped

    private func playDraft(on farm: TestFarm) async throws -> Outcome {
        let worker = try await farm.register().id
        let job = try await farm.submit("{parameters: {prompt: a}, draft: {steps: 2}}").id
        #expect(try await farm.tellDraft(try await farm.task(worker)).status == .created)
        return Outcome(
            job: job,
            advice: "dreamfarm keep",
            claimant: worker,
            mend: {
                let keep = KeepRequest(all: true)
                let _: JobView = try await farm.call(.post, "/v1/jobs/\(job)/keep", keep)
                return worker
            }
        )
    }

    private func playStops(on farm: TestFarm) async throws -> Outcome {
        let worker = try await farm.register().id
        let job = try await farm.submit("parameters: {prompt: a}").id
        @Sendable func stop(_ path: String, _ word: String) async throws {
            let answer = try await farm.send(.post, "/v1/\(path)/\(word)")
            #expect(answer.status.kind == .successful)
        }
        func outcome(_ path: String, _ outcome: Outcome) async throws -> Outcome {
            try await stop(path, "pause")
            var outcome = outcome
            outcome.mend = {
                try await stop(path, "resume")
                return worker
            }
            return outcome
        }
        var told = Outcome(job: job, advice: "", claimant: worker)
        switch self {
        case .poolPaused:
            told.details = ["pool": .string("default")]
            told.advice = "dreamfarm resume --pool default"
            return try await outcome("pools/default", told)
        case .farmPaused:
            told.advice = "dreamfarm resume --farm"
            return try await outcome("farm", told)
        case .jobPaused:
            told.advice = "dreamfarm resume"
            return try await outcome("jobs/\(job)", told)
        default:
            told.details = ["free_percent": nil, "reserve_percent": .integer(100)]
            told.advice = "dreamfarm blobs gc"
            return told
        }
    }

    // MARK: - What waits for a moment, or another job

    private func playMoments(on farm: TestFarm) async throws -> Outcome {
        let worker = try await farm.register().id
        let pool = try TestDatabase.pool()
        /// Does what the wake duty does when the time has come.
        @Sendable func wake() async throws -> WorkerID {
            _ = try await farm.store.runWake()
            return worker
        }
        switch self {
        case .dependency:
            let first = try await farm.submit("name: first\nparameters: {prompt: a}")
            let task = try await farm.task(worker)
            let second = try await farm.submit("after: [\(first.id)]\nparameters: {prompt: a}")
            return Outcome(
                job: second.id,
                details: ["jobs": .list([.string("first")])],
                advice: "after first, which has to succeed first",
                claimant: worker,
                mend: {
                    _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
                    return try await wake()
                }
            )
        case .startAfter:
            let text = "start_after: 2999-12-31T22:00:00Z\nparameters: {prompt: a}"
            return Outcome(
                job: try await farm.submit(text).id,
                details: ["at": .string("2999-12-31T22:00:00Z")],
                advice: "starts after 2999-12-31T22:00:00Z",
                claimant: worker,
                mend: {
                    try await pool.execute("UPDATE job SET start_after = now()")
                    return try await wake()
                }
            )
        default:
            let job = try await farm.submit("parameters: {prompt: a}").id
            let fence = try await farm.task(worker).fence
            let failure = FailureRequest(
                fence: fence,
                failureClass: .transient,
                message: "the wind blew"
            )
            let ended: AttemptAnswer = try await farm.call(
                .post,
                "/v1/attempts/\(fence.attempt)/fail",
                failure
            )
            #expect(ended.task == .ready)
            // So long that no test outlasts it.
            try await pool.execute("UPDATE resting SET until = '2999-12-31T22:00:00Z'")
            return Outcome(
                job: job,
                details: [
                    "until": .string("2999-12-31T22:00:00Z"), "failure": .string("the wind blew"),
                ],
                advice: "after a failed attempt: the wind blew; it is then tried again by itself",
                claimant: worker,
                mend: {
                    try await pool.execute("UPDATE resting SET until = now()")
                    return try await wake()
                }
            )
        }
    }

    // MARK: - What is bounded

    private func playBounds(on farm: TestFarm) async throws -> Outcome {
        let worker = try await farm.register("a").id
        let alice = try await farm.token("alice", .submitter)
        var text = "parameters: {prompt: a, seed: 1-2}\nchunk: {count: 1}"
        var told = Outcome(job: .random(), advice: "", claimant: worker)
        if self == .quota {
            var change = AccountRequest()
            change.maxImages = .set(1)
            let _: AccountView = try await farm.call(.put, "/v1/accounts/alice", change)
            told.details = [
                "owner": .string("alice"), "quota": .string("images"), "used": .integer(1),
                "limit": .integer(1),
            ]
            told.advice = "raises the quota with: dreamfarm accounts set alice --max-images COUNT"
        } else {
            let _: LimitView = try await farm.call(
                .put,
                "/v1/limits/nuke",
                LimitRequest(count: 1)
            )
            text += "\nrequirements: {limits: [nuke]}"
            told.details = [
                "limit": .string("nuke"), "count": .integer(1), "used": .integer(1),
                "own": .integer(1),
            ]
            told.advice = "raises it with: dreamfarm limits set nuke COUNT"
        }
        told.job = try await farm.submit(text, token: alice).id
        let task = try await farm.task(worker)
        let other = try await farm.register("b").id
        told.claimant = other
        told.mend = {
            let index = try #require(task.images.first).index
            _ = try await farm.deliver(task, index, TestFarm.picture(), isFinal: true)
            return other
        }
        return told
    }

    // MARK: - What waits for its turn

    private func playTurns(on farm: TestFarm) async throws -> Outcome {
        let worker = try await farm.register("a").id
        let two = "parameters: {prompt: a, seed: 1-2}\nchunk: {count: 1}"
        switch self {
        case .limit:
            let job = try await farm.submit(two + "\nlimits: {max_workers: 1}").id
            let task = try await farm.task(worker)
            let other = try await farm.register("b").id
            return Outcome(
                job: job,
                details: ["max_workers": .integer(1)],
                advice: "as many as its limits.max_workers allows",
                claimant: other,
                mend: {
                    let index = try #require(task.images.first).index
                    _ = try await farm.deliver(task, index, TestFarm.picture(), isFinal: true)
                    return other
                }
            )
        case .fairShare:
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .submitter)
            let job = try await farm.submit(two, token: alice).id
            #expect(try await farm.task(worker).job == job)
            let other = try await farm.submit("parameters: {prompt: b}", token: bob).id
            return Outcome(
                job: job,
                details: ["owner": .string("alice")],
                advice: "the share of 'alice' comes back by itself",
                claimant: worker,
                // The claim before it has taken what goes first.
                mend: {
                    let view: JobView = try await farm.call(.get, "/v1/jobs/\(other)")
                    #expect(view.images.rendering == 1)
                    return worker
                }
            )
        default:
            let first = try await farm.submit(two).id
            let job = try await farm.submit("parameters: {prompt: b}").id
            return Outcome(
                job: job,
                details: ["tasks": .integer(2)],
                advice: "2 tasks of the same owner go first; put the job forward",
                claimant: worker,
                mend: {
                    let raised: JobView = try await farm.call(
                        .patch,
                        "/v1/jobs/\(job)",
                        PriorityRequest(priority: 90)
                    )
                    #expect(raised.id != first)
                    return worker
                }
            )
        }
    }
}
