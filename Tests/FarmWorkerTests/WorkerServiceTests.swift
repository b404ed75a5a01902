import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Imaging
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct WorkerServiceTests {
    @Test("two workers deliver a whole job, each picture once, from the references' bytes")
    func wholeJob() async throws {
        try await Farm.run { farm in
            let reference = Data(
                try PNGEncoder.encode(PixelImage(width: 2, height: 1, pixels: [1, 2, 3, 4, 5, 6]))
            )
            let renderer = FakeRenderer()
            let other = FakeRenderer()
            try await farm.withWorker("one", renderer) {
                try await farm.withWorker("two", other) {
                    let job = try await farm.submit(
                        """
                        parameters:
                          prompt: [a, b]
                          references: [{image: r.png, task: ip}]
                          seed: 1-4
                        """,
                        references: ["r.png": reference]
                    )
                    let ended = try await farm.end(of: job)
                    #expect(ended.state == .succeeded)
                    #expect(ended.images.delivered == 8)
                }
            }
            let rendered = (renderer.rendered + other.rendered).sorted()
            #expect(rendered == Array(0..<8))
            let jobs = try await farm.client.jobs().all()
            let id = try #require(jobs.first).id
            let images = try await farm.client.images(of: id).all()
            for image in images {
                let picture = try await farm.picture(of: image.id)
                let settings = try #require(image.settings)
                #expect(picture == FakeRenderer.picture(of: settings, [reference]))
            }
        }
    }

    @Test("the task of a worker that died goes to another, and the dead one's write is stale")
    func deadWorker() async throws {
        try await Farm.run(lease: .milliseconds(300)) { farm in
            let dead = try await farm.client.register(
                RegistrationRequest(name: "dead", pool: "default", model: FakeRenderer().model)
            )
            let job = try await farm.submit("parameters: {prompt: a, seed: 3}")
            let claim = try await farm.client.claim(dead.id, ClaimRequest(waitSeconds: 1))
            let fence = try #require(claim.tasks.first).fence
            let renderer = FakeRenderer()
            try await farm.withWorker("living", renderer) {
                let ended = try await farm.end(of: job)
                #expect(ended.state == .succeeded)
            }
            #expect(renderer.rendered == [0])
            let error = await #expect(throws: FarmClientError.self) {
                try await farm.client.deliver(
                    Data("late".utf8),
                    DeliveryRequest(fence: fence, imageIndex: 0)
                )
            }
            #expect(error?.isStale == true)
            let images = try await farm.client.images(of: job).all()
            let image = try #require(images.first)
            let picture = try await farm.picture(of: image.id)
            let settings = try #require(image.settings)
            #expect(picture == FakeRenderer.picture(of: settings, []))
        }
    }

    @Test("a failure that will not pass is reported with its message, and the worker goes on")
    func deterministicFailure() async throws {
        try await Farm.run { farm in
            let renderer = FakeRenderer(failing: ["bad": RenderFailure(.deterministic, "no way")])
            try await farm.withWorker("one", renderer) {
                let bad = try await farm.submit("parameters: {prompt: bad}")
                let failed = try await farm.end(of: bad)
                #expect(failed.state == .failed)
                let images = try await farm.client.images(of: bad).all()
                #expect(
                    images.map(\.failure)
                        == [FailureView(failureClass: .deterministic, message: "no way")]
                )
                let good = try await farm.submit("parameters: {prompt: good}")
                let ended = try await farm.end(of: good)
                #expect(ended.state == .succeeded)
            }
        }
    }

    @Test("a cancelled job stops its rendering between steps")
    func cancel() async throws {
        try await Farm.run { farm in
            let renderer = FakeRenderer(endless: ["long"])
            try await farm.withWorker("one", renderer) {
                let job = try await farm.submit("parameters: {prompt: long}")
                await renderer.firstStep()
                let cancelled = try await farm.client.cancel(job)
                #expect(cancelled.state == .cancelled)
                let next = try await farm.submit("parameters: {prompt: short}")
                let ended = try await farm.end(of: next)
                #expect(ended.state == .succeeded)
            }
            #expect(renderer.stopped == 1)
        }
    }

    @Test("a worker that is shut down gives its unfinished task back")
    func shutdown() async throws {
        try await Farm.run { farm in
            let renderer = FakeRenderer(endless: ["long"])
            let job = try await farm.submitFirst("parameters: {prompt: long}", renderer.model)
            try await farm.withWorker("one", renderer) {
                await renderer.firstStep()
            }
            // A claim that was under way when the worker stopped may hold it until its lease lapses.
            while try await farm.client.tasks(of: job).all().map(\.state) != [.ready] {
                await Task.yield()
            }
            #expect(renderer.stopped == 1)
        }
    }
}
