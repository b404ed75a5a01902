import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Imaging
import TestSupport
import Testing

/// Drafts through a coordinator, a database, and a worker with the engine and a tiny model.
@Suite(.database, .timeLimit(.minutes(10))) struct DraftFarmTests {
    private static let text = """
        parameters: {prompt: a fox in the snow, seed: 1-3, size: [64x48]}
        render: {steps: 4}
        """

    /// Waits until a job is a draft.
    private func drafted(_ job: JobID, _ farm: Farm) async throws -> JobView {
        while true {
            let view = try await farm.client.job(job.description)
            if view.state == .drafted || view.state.isFinal { return view }
            await Task.yield()
        }
    }

    @Test(
        "what a person keeps of drafts has the bytes of a job that makes none; the rest is never finished"
    )
    func wholeWay() async throws {
        try await Farm.run { farm in
            let renderer = try await PipelineRenderer(
                EngineWorkerTests.configuration,
                log: { _ in }
            )
            try await farm.withWorker("w", renderer) {
                let plain = try await farm.submit(Self.text)
                #expect(try await farm.end(of: plain).state == .succeeded)
                let expected = try await farm.client.images(of: plain).all()

                let job = try await farm.submit(Self.text + "\ndraft: {steps: 2}")
                let view = try await drafted(job, farm)
                #expect(view.state == .drafted && view.images.drafted == 3)
                #expect(view.tasks?.leased == 0)
                let drafts = try await farm.client.images(of: job, state: .drafted).all()
                #expect(drafts.map(\.index) == [0, 1, 2])
                let draft = try #require(drafts.first)
                let bytes = try #require(try await farm.draft(of: draft.id))
                #expect(BlobDigest(of: bytes).rawValue == draft.draft?.digest)
                let picture = try ImageDecoder().decode([UInt8](bytes), name: "draft")
                #expect(picture.width == draft.settings?.width)

                _ = try await farm.client.keep(job, images: [0, 2])
                _ = try await farm.client.drop(job, images: [1])
                let ended = try await farm.end(of: job)
                #expect(ended.state == .succeeded)
                #expect(ended.images == ImageTally(delivered: 2, cancelled: 1))
                let images = try await farm.client.images(of: job).all()
                #expect(images.map(\.state) == [.delivered, .cancelled, .delivered])
                for index in [0, 2] {
                    #expect(images[index].digest == expected[index].digest)
                    let attempts = try await farm.client.attempts(
                        of: try #require(images[index].task)
                    )
                    .all()
                    #expect(attempts.map(\.outcome) == [.drafted, .succeeded])
                }
            }
        }
    }
}
