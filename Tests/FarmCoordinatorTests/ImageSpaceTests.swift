import FarmModel
import FoundationEssentials
import HTTPTypes
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database) struct ImageSpaceTests {
    private static let job = """
        parameters: {prompt: [a, b], seed: 1-6, guidance: [2, 3.5, 5], negative_prompt: [x, y]}
        combination: (seed, prompt * guidance)
        """

    @Test("the axes say which values each image has")
    func axes() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let job = try await farm.submit(Self.job)
            let view: JobAxesView = try await farm.call(.get, "/v1/jobs/\(job.id)/axes")
            #expect(view.images == 12)
            #expect(
                view.axes.map(\.parameter) == [.prompt, .seed, .guidance, .negativePrompt]
            )
            let images: Page<ImageView> = try await farm.call(.get, "/v1/jobs/\(job.id)/images")
            #expect(images.items.count == 12)
            for image in images.items {
                let settings = try #require(image.settings)
                let values = view.axes.map { axis in
                    axis.values[image.index / axis.stride % axis.values.count]
                }
                #expect(values[0] == .string(settings.prompt))
                #expect(values[1] == .integer(Int(settings.seed)))
                let guidance = SpecificationValue.number(settings.guidance)
                #expect(values[2].canonicalJSON == guidance.canonicalJSON)
                #expect(values[3] == .string(settings.negativePrompt))
            }
        }
    }

    @Test("the states are those of the images, a letter each")
    func states() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            let text = "{parameters: {prompt: a, seed: 1-6}, chunk: {count: 2}}"
            let job = try await farm.submit(text)
            let task = try await farm.task(worker.id)
            _ = try await farm.deliver(task, task.images[0].index, TestFarm.picture())
            var view: ImageStatesView = try await farm.call(.get, "/v1/jobs/\(job.id)/states")
            #expect(view.states == "drwwww")
            _ = try await farm.call(.post, "/v1/jobs/\(job.id)/cancel", as: JobView.self)
            view = try await farm.call(.get, "/v1/jobs/\(job.id)/states")
            let images: Page<ImageView> = try await farm.call(.get, "/v1/jobs/\(job.id)/images")
            let letters = images.items.map { String($0.state.rawValue.prefix(1)) }.joined()
            #expect(view.states == letters)
            #expect(view.states.contains("c"))
        }
    }

    @Test("images are to be had by their indices")
    func indices() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let job = try await farm.submit("parameters: {prompt: a, seed: 1-9}")
            let path = "/v1/jobs/\(job.id)/images"
            let some: Page<ImageView> = try await farm.call(.get, "\(path)?index=7,0,3,99")
            #expect(some.items.map(\.index) == [0, 3, 7])
            let rest: Page<ImageView> = try await farm.call(
                .get,
                "\(path)?index=7,0,3&after=0&limit=1"
            )
            #expect(rest.items.map(\.index) == [3])
            #expect(rest.next == "3")
            let many = (0...1000).map(String.init).joined(separator: ",")
            for wrong in ["", "x", "-1", "1,,2", "4294967295", many] {
                #expect(try await farm.problem(.get, "\(path)?index=\(wrong)") == .malformed)
            }
        }
    }

    @Test("jobs are found by a part of what they are called")
    func search() async throws {
        try await TestFarm.withAPI { farm in
            _ = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            let first = try await farm.submit("{name: Spring-Campaign, parameters: {prompt: a}}")
            let second = try await farm.submit(
                "{name: other, parameters: {prompt: b}}",
                token: alice
            )
            func found(_ text: String, token: String = TestFarm.admin) async throws -> [JobID] {
                let page: Page<JobView> = try await farm.call(
                    .get,
                    "/v1/jobs?search=\(text)",
                    token: token
                )
                return page.items.map(\.id)
            }
            #expect(try await found("campaign") == [first.id])
            #expect(try await found("ALICE") == [second.id])
            #expect(try await found(String(first.id.description.prefix(23))) == [first.id])
            #expect(try await found("tiny") == [second.id, first.id])
            #expect(try await found("%25") == [])
            #expect(try await found("campaign", token: alice) == [])
        }
    }

    @Test("a worker's attempts are listed from the newest on, to others those of their own jobs")
    func attempts() async throws {
        try await TestFarm.withAPI { farm in
            let worker = try await farm.register()
            let alice = try await farm.token("alice", .submitter)
            var tasks: [TaskAssignment] = []
            for token in [alice, TestFarm.admin, TestFarm.admin] {
                _ = try await farm.submit("parameters: {prompt: a}", token: token)
                let task = try await farm.task(worker.id)
                tasks.append(task)
                guard tasks.count < 3 else { break }
                _ = try await farm.deliver(task, 0, TestFarm.picture(), isFinal: true)
            }
            let path = "/v1/workers/\(worker.id)/attempts"
            let all: Page<AttemptView> = try await farm.call(.get, path)
            #expect(all.items.map(\.id) == tasks.reversed().map(\.fence.attempt))
            #expect(all.items.map(\.outcome) == [nil, .succeeded, .succeeded])
            #expect(all.items.map(\.job) == tasks.reversed().map(\.job))
            let one: Page<AttemptView> = try await farm.call(.get, "\(path)?limit=1")
            let next: Page<AttemptView> = try await farm.call(
                .get,
                "\(path)?after=\(try #require(one.next))"
            )
            #expect(one.items + next.items == all.items)
            let own: Page<AttemptView> = try await farm.call(.get, path, token: alice)
            #expect(own.items.map(\.id) == [tasks[0].fence.attempt])
        }
    }
}
