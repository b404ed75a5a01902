import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

/// Every reason to wait, brought about on a farm that serves and read back as people read it.
///
/// One after the other, for they are many: others wait for a place beside them.
@Suite(.serialized, .database, .timeLimit(.minutes(10))) struct WaitingTests {
    @Test("every reason that the farm gives has a scene")
    func scenes() {
        #expect(Set(WaitingScene.allCases.map(\.reason)) == Set(WaitingReason.allCases))
    }

    @Test(
        "what waits says why and what to do, gets no task, and goes on when the cause is gone",
        arguments: WaitingScene.allCases
    )
    func reason(_ scene: WaitingScene) async throws {
        try await TestFarm.withAPI(live: true, settings: scene.settings) { farm in
            let outcome = try await scene.play(on: farm)
            let path = "/v1/jobs/\(outcome.job)"
            let page: Page<WhyView> = try await farm.call(.get, path + "/why")
            let why = try #require(page.items.first)
            #expect(page.items.count == 1)
            #expect(why.reason == scene.reason)
            #expect(why.tasks == outcome.tasks)
            #expect(why.sentence.contains(outcome.advice), "\(why.sentence)")
            check(why.details, outcome.details)
            let job: JobView = try await farm.call(.get, path)
            let told = try #require(job.waiting?.first)
            #expect(job.waiting?.count == 1)
            #expect(told.reason == scene.reason)
            #expect(told.tasks == outcome.tasks)
            try await checkTask(of: outcome, scene, farm)

            let claimed = try await farm.claim(outcome.claimant)
            #expect(!claimed.tasks.map(\.job).contains(outcome.job))
            guard let mend = outcome.mend else { return }
            let worker = try await mend()
            // As the notice of the change does.
            farm.store.queueChanged()
            #expect(try await farm.task(worker).job == outcome.job)
        }
    }

    /// The task of a job that waits says the same as its job.
    private func checkTask(
        of outcome: WaitingScene.Outcome,
        _ scene: WaitingScene,
        _ farm: TestFarm
    ) async throws {
        let tasks: Page<TaskView> = try await farm.call(.get, "/v1/jobs/\(outcome.job)/tasks")
        let task = try #require(tasks.items.first { $0.state != .leased })
        let why: WhyView = try await farm.call(.get, "/v1/tasks/\(task.id)/why")
        #expect(why.reason == scene.reason)
        #expect(why.task == task.id)
        #expect(why.sentence.contains(outcome.advice), "\(why.sentence)")
        check(why.details, outcome.details)
        let view: TaskView = try await farm.call(.get, "/v1/tasks/\(task.id)")
        #expect(view.waiting?.reason == scene.reason)
    }

    private func check(
        _ details: SpecificationValue,
        _ expected: [String: SpecificationValue?]
    ) {
        guard case .mapping(let entries) = details else {
            Issue.record("the figures are \(details.kind)")
            return
        }
        #expect(Set(entries.keys) == Set(expected.keys))
        for case (let name, let value?) in expected {
            #expect(entries[name]?.canonicalJSON == value.canonicalJSON, "\(name)")
        }
    }

    @Test("a job whose task is at a worker, or that is over, waits for nothing")
    func nothing() async throws {
        try await TestFarm.withAPI(live: true) { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit("parameters: {prompt: a}")
            let task = try await farm.task(worker)
            for isOver in [false, true] {
                if isOver {
                    _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
                }
                let page: Page<WhyView> = try await farm.call(.get, "/v1/jobs/\(job.id)/why")
                #expect(page.items.isEmpty)
                let path = "/v1/tasks/\(task.fence.task)"
                #expect(try await farm.problem(.get, path + "/why") == .wrongState)
                let view: TaskView = try await farm.call(.get, path)
                #expect(view.waiting == nil)
            }
        }
    }
}
