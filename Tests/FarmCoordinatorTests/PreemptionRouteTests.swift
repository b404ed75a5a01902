import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct PreemptionRouteTests {
    /// A worker that renders a task of a low band, which is told to park for one of a high band.
    private struct Scene {
        let farm: TestFarm
        let worker: RegistrationAnswer
        let low: TaskAssignment
        let high: JobView
        let beat: HeartbeatRequest
        private let path: String

        init(_ farm: TestFarm, parks: Bool = true) async throws {
            self.farm = farm
            worker = try await farm.register {
                $0.parks = parks
                $0.speed = 1
            }
            _ = try await farm.submit("priority: 10\nparameters: {prompt: a}")
            low = try await farm.task(worker.id)
            let progress = AttemptProgress(fence: low.fence, image: 0, step: 1, steps: 4)
            beat = HeartbeatRequest(epoch: worker.epoch, state: .busy, running: [progress])
            path = "/v1/workers/\(worker.id)/heartbeat"
            let before: HeartbeatAnswer = try await farm.call(.post, path, beat)
            #expect(before.park == nil)
            // No time passes in a test: the quantum of this farm is none.
            high = try await farm.submit("priority: 90\nparameters: {prompt: b}")
            let configuration = { () -> FarmStoreConfiguration in
                var configuration = FarmStoreConfiguration()
                configuration.preemptQuantum = .zero
                return configuration
            }()
            let pool = try TestDatabase.pool()
            _ = try await FarmStore(pool: pool, configuration: configuration).runPreemption()
            farm.store.queueChanged()
        }

        func order() async throws -> HeartbeatAnswer {
            try await farm.call(.post, path, beat)
        }

        func park(step: Int) async throws -> AttemptAnswer {
            let checkpoint = CheckpointRequest(
                fence: low.fence,
                imageIndex: 0,
                step: step,
                numericClass: "c"
            )
            let stored = try await farm.send(.put, checkpoint.path, Data("checkpoint".utf8))
            #expect(stored.status == .created)
            var request = AttemptRequest(fence: low.fence, reason: .parked)
            request.image = 0
            request.step = step
            return try await farm.call(.post, "/v1/attempts/\(low.fence.attempt)/release", request)
        }
    }

    @Test("a heartbeat says what to park; the task says where it was parked and for what")
    func wholeWay() async throws {
        try await TestFarm.withAPI { farm in
            let scene = try await Scene(farm)
            #expect(try await scene.order().park == [scene.low.fence.attempt])
            #expect(try await scene.park(step: 2).task == .ready)
            let place = ParkedView(image: 0, step: 2, job: scene.high.id)

            let path = "/v1/tasks/\(scene.low.fence.task)"
            let task: TaskView = try await farm.call(.get, path)
            #expect(task.state == .ready && task.parks == 1)
            #expect(task.parked == place)
            let why: WhyView = try await farm.call(.get, path + "/why")
            #expect(why.sentence.contains("parked after step 2 of image 0"))
            #expect(why.sentence.contains(scene.high.id.description))
            let listed: Page<TaskView> = try await farm.call(
                .get,
                "/v1/jobs/\(scene.low.job)/tasks"
            )
            #expect(listed.items.first?.parked == place)
            #expect(listed.items.first?.waiting?.sentence == why.sentence)
            let attempts: Page<AttemptView> = try await farm.call(.get, path + "/attempts")
            #expect(attempts.items.map(\.outcome) == [.parked])
            #expect(attempts.items.first?.parked == place)

            let next = try await farm.task(scene.worker.id)
            #expect(next.job == scene.high.id)
            let again = try await farm.task(scene.worker.id)
            #expect(again.fence.task == scene.low.fence.task)
            #expect(again.checkpoints.map(\.step) == [2])
            let metrics = try await farm.send(.get, "/metrics")
            let text = String(decoding: metrics.body.readableBytesView, as: UTF8.self)
            #expect(text.contains(#"dreamfarm_preemptions_total{model="tiny"} 1"#))
            #expect(text.contains(#"dreamfarm_preemption_repeated_steps_total{model="tiny"} 0"#))
            #expect(text.contains(#"dreamfarm_attempts_total{outcome="parked"} 1"#))
        }
    }

    @Test("a late park is stale; an earlier release's worker is told nothing")
    func refused() async throws {
        try await TestFarm.withAPI { farm in
            let scene = try await Scene(farm, parks: false)
            #expect(try await scene.order().park == nil)
            var late = AttemptRequest(fence: scene.low.fence, reason: .parked)
            late.fence.epoch += 1
            let path = "/v1/attempts/\(late.fence.attempt)/release"
            #expect(try await farm.problem(.post, path, late) == .stale)
            let task: TaskView = try await farm.call(.get, "/v1/tasks/\(scene.low.fence.task)")
            #expect(task.state == .leased && task.parks == nil)
        }
    }
}
