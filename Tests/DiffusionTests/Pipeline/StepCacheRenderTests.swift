import GoldenSupport
import Imaging
import Tensors
import Testing

@testable import Diffusion

/// Renders with the step cache.
@Suite
struct StepCacheRenderTests {
    private func render(
        _ golden: Golden,
        threads: Int = 2,
        _ change: (inout RenderRequest) -> Void
    ) async throws -> (picture: RenderedPicture, cached: [Bool]) {
        var request = try golden.request()
        request.steps = 8
        change(&request)
        try request.validate()
        let pipeline = try await golden.pipeline(in: Compute(threads: threads))
        var cached: [Bool] = []
        let picture = try pipeline.render(request) { cached.append($0.wasCached) }
        return (picture, cached)
    }

    private func difference(_ one: RenderedPicture, _ other: RenderedPicture) -> Double {
        zip(one.image.pixels, other.image.pixels)
            .reduce(0) { $0 + abs(Double($1.0) - Double($1.1)) } / Double(one.image.pixels.count)
    }

    @Test("a threshold that nothing is under changes nothing", arguments: Golden.all)
    func never(_ golden: Golden) async throws {
        let whole = try await render(golden) { _ in }
        let never = try await render(golden) { $0.stepCache = .leastNormalMagnitude }
        #expect(whole.cached == [Bool](repeating: false, count: 8))
        #expect(never.cached == whole.cached)
        #expect(never.picture.image.pixels == whole.picture.image.pixels)
        #expect(never.picture.png != whole.picture.png)
    }

    @Test("steps are left out under a threshold, to the same bytes on any number of threads")
    func some() async throws {
        let golden = Golden.all[0]
        let whole = try await render(golden) { _ in }
        let some = try await render(golden) { $0.stepCache = 0.6 }
        let alone = try await render(golden, threads: 1) { $0.stepCache = 0.6 }
        #expect(some.cached[0] == false)
        #expect(some.cached.contains(true))
        #expect(some.cached == alone.cached)
        #expect(some.picture.png == alone.picture.png)
        let most = try await render(golden) { $0.stepCache = 1 }
        #expect(most.cached.count(where: \.self) >= some.cached.count(where: \.self))
        #expect(difference(some.picture, whole.picture) > 0)
    }

    @Test("the threshold is in the picture, and is read out of it again")
    func provenance() async throws {
        let golden = Golden.all[0]
        let picture = try await render(golden) { $0.stepCache = 0.25 }.picture
        let read = try Provenance(reading: picture.png, name: "picture")
        #expect(read.settings.stepCache == 0.25)
        let whole = try await render(golden) { _ in }.picture
        #expect(try Provenance(reading: whole.png, name: "picture").settings.stepCache == nil)
    }

    @Test("a threshold out of range is refused by name", arguments: [-0.1, 1.5, .nan] as [Float])
    func range(_ threshold: Float) throws {
        var request = try Golden.all[0].request()
        request.stepCache = threshold
        #expect(
            throws: RenderRequestError.outOfRange(
                key: "step-cache",
                value: "\(threshold)",
                allowed: "a number from 0 to 1"
            )
        ) { try request.validate() }
    }
}
