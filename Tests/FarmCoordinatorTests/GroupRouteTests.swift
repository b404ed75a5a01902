import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct GroupRouteTests {
    private func register(
        _ names: [String],
        at farm: TestFarm
    ) async throws -> [RegistrationAnswer] {
        var workers: [RegistrationAnswer] = []
        for name in names {
            workers.append(try await farm.register(name) { $0.group = GroupOffer() })
        }
        return workers
    }

    private func beat(
        _ worker: RegistrationAnswer,
        _ standing: GroupStanding? = nil,
        at farm: TestFarm
    ) async throws -> HeartbeatAnswer {
        var request = HeartbeatRequest(epoch: worker.epoch)
        request.group = standing
        return try await farm.call(.post, "/v1/workers/\(worker.id)/heartbeat", request)
    }

    /// Lets a worker say that it is ready, and returns what it is ordered then.
    private func becomeReady(
        _ worker: RegistrationAnswer,
        at farm: TestFarm
    ) async throws -> HeartbeatAnswer {
        let order = try #require(try await beat(worker, at: farm).group)
        var standing = GroupStanding(
            group: order.group,
            epoch: order.epoch,
            rank: order.rank,
            phase: .ready
        )
        standing.numericClass = "pair"
        standing.speed = 4e12
        return try await beat(worker, standing, at: farm)
    }

    @Test("an operator makes a group, whose members are told and claim as one")
    func byHand() async throws {
        try await TestFarm.withAPI { farm in
            let workers = try await register(["a", "b"], at: farm)
            let made: GroupView = try await farm.call(
                .post,
                "/v1/groups",
                GroupRequest(workers: ["b", "a"], name: "pair")
            )
            #expect(made.state == .forming && made.origin == .operator)
            #expect(made.members.map(\.name) == ["b", "a"])
            let forming = try await becomeReady(workers[0], at: farm)
            #expect(forming.heartbeatSeconds == 1)
            #expect(forming.group?.secret.count == 32)
            let answer = try await farm.claim(workers[1].id)
            #expect(answer.reason == .inGroup && answer.retryAfterSeconds == 1)
            let ready = try await becomeReady(workers[1], at: farm)
            #expect(ready.heartbeatSeconds == 15 && ready.group?.rank == 0)
            let view: GroupView = try await farm.call(.get, "/v1/groups/pair")
            #expect(view.state == .ready && view.numericClass == "pair" && view.speed == 4e12)
            let text = try FarmJSON.text(view)
            #expect(!text.contains(try #require(ready.group).secret.base64EncodedString()))
            _ = try await farm.submit("parameters: {prompt: a}\nrequirements: {group: 2}")
            let lead = GroupEpoch(group: made.id, epoch: view.epoch)
            #expect(try await farm.claim(workers[1].id).reason == .inGroup)
            #expect(try await farm.task(workers[1].id, for: lead).jobName != "")
            #expect(try await farm.claim(workers[0].id).reason == .inGroup)
            let shown: Page<WorkerView> = try await farm.call(.get, "/v1/workers")
            #expect(shown.items.map(\.rank) == [1, 0])
            #expect(shown.items.map(\.group) == ["pair", "pair"])
        }
    }

    @Test("a group drains, or gives back at once what it holds")
    func dissolve() async throws {
        try await TestFarm.withAPI { farm in
            let workers = try await register(["a", "b"], at: farm)
            let made: GroupView = try await farm.call(.post, "/v1/groups", GroupRequest(size: 2))
            for worker in workers { _ = try await becomeReady(worker, at: farm) }
            _ = try await farm.submit("parameters: {prompt: a}")
            let lead = GroupEpoch(group: made.id, epoch: made.epoch)
            let task = try await farm.task(workers[0].id, for: lead)
            let drained: GroupView = try await farm.call(
                .post,
                "/v1/groups/\(made.id)/dissolve"
            )
            #expect(drained.state == .draining)
            let over: GroupView = try await farm.call(
                .post,
                "/v1/groups/\(made.name)/dissolve?now=true"
            )
            #expect(over.state == .dissolved)
            #expect(
                try await farm.claim(workers[1].id).tasks.map(\.fence.task) == [task.fence.task]
            )
            let live: Page<GroupView> = try await farm.call(.get, "/v1/groups")
            let all: Page<GroupView> = try await farm.call(.get, "/v1/groups?dissolved=true")
            #expect(live.items.isEmpty && all.items.map(\.id) == [made.id])
        }
    }

    @Test("what is no group is refused with what is wrong")
    func refusals() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register("alone")
            func problem(_ request: GroupRequest) async throws -> ProblemKind? {
                try await farm.problem(.post, "/v1/groups", request)
            }
            #expect(try await problem(GroupRequest(size: 1)) == .malformed)
            #expect(try await problem(GroupRequest(size: 2)) == .wrongState)
            #expect(try await problem(GroupRequest()) == .wrongState)
            #expect(try await problem(GroupRequest(workers: ["nobody"])) == .notFound)
            #expect(try await problem(GroupRequest(workers: ["alone"])) == .wrongState)
            #expect(try await farm.problem(.get, "/v1/groups/none") == .notFound)
            let viewer = try await farm.token("eve", .viewer)
            #expect(
                try await farm.problem(.post, "/v1/groups", GroupRequest(size: 2), token: viewer)
                    == .notAllowed
            )
        }
    }
}
