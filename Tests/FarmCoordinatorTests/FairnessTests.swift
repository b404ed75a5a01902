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

/// Who gets the farm's next task, over the API, with claims and deliveries as workers make them.
///
/// One after the other, for they are long: others wait for a place beside them.
@Suite(.serialized, .database, .timeLimit(.minutes(10))) struct FairnessTests {
    /// A job of so many images, each a task of its own.
    private func submit(_ images: Int, of farm: TestFarm, as token: String) async throws -> JobID {
        let text = "parameters: {prompt: a, seed: 1-\(images)}\nchunk: {count: 1}"
        return try await farm.submit(text, token: token).id
    }

    /// Delivers what was claimed.
    private func finish(_ task: TaskAssignment, of farm: TestFarm) async throws {
        let index = try #require(task.images.first).index
        let answer = try await farm.deliver(task, index, TestFarm.picture(), isFinal: true)
        #expect(answer.status == .created)
    }

    @Test(
        "ten images that are submitted behind ten thousand are claimed within 25 claims",
        arguments: [0, 40]
    )
    func latecomer(claimedBefore: Int) async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .submitter)
            var workers: [WorkerID] = []
            for number in 0..<5 { workers.append(try await farm.register("w\(number)").id) }
            _ = try await submit(10_000, of: farm, as: alice)
            for number in 0..<claimedBefore {
                let task = try await farm.task(workers[number % 5])
                // Some of what was claimed is delivered, the rest is at work.
                if number % 2 == 0 { try await finish(task, of: farm) }
            }
            let late = try await submit(10, of: farm, as: bob)
            // Five workers claim side by side, five tasks each.
            let jobs = try await withThrowingTaskGroup(of: [JobID].self) { group in
                for worker in workers {
                    group.addTask {
                        var jobs: [JobID] = []
                        for _ in 0..<5 { jobs.append(try await farm.task(worker).job) }
                        return jobs
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(jobs.count == 25)
            #expect(jobs.count { $0 == late } == 10)
        }
    }

    @Test("over a long run owners get the farm in the proportion of their weights")
    func shares() async throws {
        let weights: [String: Double] = ["alice": 1, "bob": 2, "carol": 5]
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register().id
            var owners: [JobID: String] = [:]
            for (owner, weight) in weights.sorted(by: { $0.key < $1.key }) {
                let token = try await farm.token(owner, .submitter)
                let _: AccountView = try await farm.call(
                    .put,
                    "/v1/accounts/\(owner)",
                    AccountRequest(weight: weight)
                )
                // An owner's jobs are no more to it for being several.
                let jobs = owner == "alice" ? 3 : 1
                for _ in 0..<jobs {
                    owners[try await submit(600, of: farm, as: token)] = owner
                }
            }
            farm.store.queueChanged()
            var count: [String: Int] = [:]
            for number in 0..<800 {
                let task = try await farm.task(worker)
                count[owners[task.job] ?? "", default: 0] += 1
                // Half of it is settled as it goes, half is held by leases.
                if number % 2 == 0 { try await finish(task, of: farm) }
            }
            for (owner, weight) in weights {
                let due = 800 * weight / 8
                let got = Double(count[owner] ?? 0)
                #expect(abs(got / due - 1) < 0.05, "\(owner) got \(got) of \(due)")
            }
        }
    }

    @Test("what was not served for the age bound goes first, whatever its owner had, and once")
    func ageBound() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let alice = try await farm.token("alice", .submitter)
            let bob = try await farm.token("bob", .submitter)
            let worker = try await farm.register().id
            let low = try await farm.submit(
                "priority: 0\nparameters: {prompt: a, seed: 1-9}\nchunk: {count: 1}",
                token: alice
            ).id
            let high = try await submit(200, of: farm, as: alice)
            for _ in 0..<20 { #expect(try await farm.task(worker).job == high) }
            let other = try await submit(200, of: farm, as: bob)
            #expect(try await farm.task(worker).job == other)
            // Half an hour goes by in which others were served.
            try await TestDatabase.pool().execute(
                "UPDATE head SET queued_at = now() - interval '31 min' WHERE job_id = \(low)"
            )
            farm.store.queueChanged()
            #expect(try await farm.task(worker).job == low)
            farm.store.queueChanged()
            for _ in 0..<5 { #expect(try await farm.task(worker).job == other) }
        }
    }

    @Test("the age bound holds for a job behind many more urgent ones of its owner")
    func hiddenHead() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register().id
            let low = try await farm.submit("priority: 0\nparameters: {prompt: a}").id
            for _ in 0..<80 {
                _ = try await farm.submit("priority: 90\nparameters: {prompt: a}")
            }
            #expect(try await farm.task(worker).job != low)
            try await TestDatabase.pool().execute(
                "UPDATE head SET queued_at = now() - interval '31 min' WHERE job_id = \(low)"
            )
            farm.store.queueChanged()
            #expect(try await farm.task(worker).job == low)
        }
    }
}
