import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct DraftRouteTests {
    private static let text = """
        parameters: {prompt: a, seed: 1-3}
        render: {steps: 6}
        draft: {steps: 2}
        """

    @Test("drafts are shown, kept and dropped; what is kept is told to go on, the rest is gone")
    func wholeWay() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let job = try await farm.submit(Self.text)
            #expect(job.tasks?.total == 3)
            for _ in 0..<3 {
                let task = try await farm.task(worker)
                #expect(task.images.map(\.draftSteps) == [2])
                #expect(try await farm.putDraft(task).status == .conflict)
                #expect(try await farm.tellDraft(task).status == .created)
                #expect(try await farm.putDraft(task).status == .created)
            }
            let path = "/v1/jobs/\(job.id)"
            let drafted: JobView = try await farm.call(.get, path)
            #expect(drafted.state == .drafted && drafted.images.drafted == 3)
            #expect(drafted.waiting?.map(\.reason) == [.draft])
            #expect(drafted.etaSeconds == nil)
            let states: ImageStatesView = try await farm.call(.get, path + "/states")
            #expect(states.states == "ppp")
            let images: Page<ImageView> = try await farm.call(.get, path + "/images?state=drafted")
            let image = try #require(images.items.last)
            #expect(image.index == 2 && image.draft?.step == 2)
            let picture = try await farm.send(.get, "/v1/images/\(image.id)/draft")
            #expect(picture.headers[.contentType] == "image/png")
            #expect(try Data(picture.body.readableBytesView) == TestFarm.picture(2))
            let small = try await farm.send(.get, "/v1/images/\(image.id)/draft?fit=128")
            #expect(small.headers[.contentType] == "image/jpeg")

            let wish = KeepRequest(images: [2])
            for _ in 0..<2 {
                let kept: JobView = try await farm.call(.post, path + "/keep", wish)
                #expect(kept.state == .running && kept.images.drafted == 2)
            }
            let task = try await farm.task(worker)
            #expect(task.images.map(\.index) == [2] && task.images.map(\.draftSteps) == [nil])
            #expect(task.checkpoints.map(\.step) == [2])
            #expect(try await farm.tellDraft(task).status == .conflict)
            _ = try await farm.deliver(task, 2, TestFarm.picture(), isFinal: true)
            let dropped: JobView = try await farm.call(
                .post,
                path + "/drop",
                DropRequest(rest: true)
            )
            #expect(dropped.state == .succeeded)
            #expect(dropped.images == ImageTally(delivered: 1, cancelled: 2))
            let gone: Page<ImageView> = try await farm.call(.get, path + "/images?state=cancelled")
            let lost = try #require(gone.items.first)
            #expect(lost.draft?.decision == .dropped && lost.draft?.digest == nil)
            #expect(try await farm.problem(.get, "/v1/images/\(lost.id)/draft") == .notFound)
        }
    }

    @Test(
        "a decision says what it is about; another's job is not there, and a viewer decides nothing"
    )
    func refusals() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register().id
            let ann = try await farm.token("ann", .submitter)
            let job: JobView = try await farm.call(
                .post,
                "/v1/jobs",
                farm.document(Self.text),
                token: ann
            )
            _ = try await farm.tellDraft(farm.task(worker))
            let path = "/v1/jobs/\(job.id)"
            func problem(
                _ wish: KeepRequest,
                _ token: String = TestFarm.admin
            ) async throws -> ProblemKind? {
                try await farm.problem(.post, path + "/keep", wish, token: token)
            }
            let bob = try await farm.token("bob", .submitter)
            let viewer = try await farm.token("ann", .viewer)
            #expect(try await problem(KeepRequest()) == .malformed)
            #expect(try await problem(KeepRequest(images: [0], all: true)) == .malformed)
            #expect(try await problem(KeepRequest(images: [3])) == .notFound)
            #expect(try await problem(KeepRequest(images: [0, 1])) == .wrongState)
            #expect(try await problem(KeepRequest(all: true), bob) == .notFound)
            #expect(try await problem(KeepRequest(all: true), viewer) == .notAllowed)
            let kept: JobView = try await farm.call(
                .post,
                path + "/keep",
                KeepRequest(all: true),
                token: ann
            )
            #expect(kept.images.drafted == nil)
        }
    }

    @Test("a draft at or behind the model's own steps is refused at submit, with its path")
    func modelsSteps() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let steps = TestFarm.model.defaults.steps
            let answer: ProblemDetails = try await farm.call(
                .post,
                "/v1/jobs",
                farm.document("{parameters: {prompt: a}, draft: {steps: \(steps)}}")
            )
            #expect(answer.problems?.map(\.path) == ["draft.steps"])
        }
    }
}

extension TestFarm {
    /// Tells a draft of two steps as a worker does: its checkpoint, then its picture.
    func tellDraft(_ task: TaskAssignment) async throws -> TestResponse {
        let index = try #require(task.images.first).index
        let checkpoint = CheckpointRequest(
            fence: task.fence,
            imageIndex: index,
            step: 2,
            numericClass: "c"
        )
        let stored = try await send(.put, checkpoint.path, Data("checkpoint \(index)".utf8))
        #expect(stored.status == .created)
        return try await putDraft(task)
    }

    /// Tells its picture alone.
    func putDraft(_ task: TaskAssignment, step: Int = 2) async throws -> TestResponse {
        let index = try #require(task.images.first).index
        let request = DraftRequest(fence: task.fence, imageIndex: index, step: step, type: .png)
        return try await send(.put, request.path, TestFarm.picture(UInt8(index)))
    }
}
