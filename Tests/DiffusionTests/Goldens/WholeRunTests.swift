import GoldenSupport
import Imaging
import Tensors
import Testing

@testable import Diffusion

/// Whole runs against the reference's: every intermediate, and the picture.
@Suite
struct WholeRunTests {
    @Test("every intermediate and the picture equal the reference's", arguments: Golden.all)
    func equality(_ golden: Golden) async throws {
        let folder = try GoldenFolder()
        let dump = IntermediateDump()
        let picture = try await golden.pipeline().render(golden.request(), dump: dump)
        try dump.write(to: "\(folder.path)/dump.safetensors")
        let written = try SafetensorsFile(path: "\(folder.path)/dump.safetensors")
        let run = try golden.run()
        #expect(run.names.count >= 21)
        #expect(try run.differences(from: written) == [])
        #expect(written.names == run.names)

        let expected = try ImageDecoder().decode(path: "\(golden.folder)/golden.png")
        #expect(picture.image.width == expected.width)
        #expect(picture.image.height == expected.height)
        let distances = zip(picture.image.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
        #expect(distances.allSatisfy { $0 <= 1 })
        #expect(1000 * distances.count { $0 != 0 } <= 3 * distances.count)
        #expect(try ImageDecoder().decode(picture.png, name: "png") == picture.image)
    }

    @Test(
        "the same bytes whatever the count of threads, again, and beside another render",
        arguments: Golden.all,
        Precision.allCases
    )
    func bytes(_ golden: Golden, _ precision: Precision) async throws {
        let request = try golden.request()
        let pipeline = try await golden.pipeline(in: Compute(threads: 1), precision: precision)
        let first = try pipeline.render(request).png
        #expect(try pipeline.render(request).png == first)
        try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for threads in 2...3 {
                group.addTask {
                    let compute = Compute(threads: threads)
                    let other = try await golden.pipeline(in: compute, precision: precision)
                    return try other.render(request).png
                }
            }
            for try await png in group { #expect(png == first) }
        }
    }

    @Test("no step after the first takes new scratch memory", arguments: Golden.all)
    func memory(_ golden: Golden) async throws {
        // blocks as small as they can be: whatever was not there before would need another
        let compute = Compute(threads: 2, scratchBlock: 1)
        let pipeline = try await golden.pipeline(in: compute)
        var request = try golden.request()
        request.steps = 4
        try pipeline.encodeConditions(of: [request])
        pipeline.releaseEncoders()
        #expect(compute.scratchBytes == 0)
        var counts: [Int] = []
        var places: [UnsafeMutablePointer<Float>] = []
        _ = try pipeline.render(request) { _ in
            counts.append(compute.scratchAllocations)
            places.append(compute.withScratch { compute.scratch(1, 1).base })
        }
        #expect(counts.count == 4)
        #expect(Set(places).count == 1, "a step leaves scratch memory taken")
        // true CFG's plain branch comes in step 1 of one task, and needs no more than the first
        #expect(Set(counts).count == 1)
        #expect(compute.scratchBytes > 0)
    }

    @Test("pictures of one pipeline equal those of pipelines of their own")
    func sharing() async throws {
        let golden = Golden.all[0]
        let requests = try variants(of: golden)
        var alone: [RenderedPicture] = []
        for request in requests {
            alone.append(try await golden.pipeline().render(request))
        }
        #expect(Set(alone.map(\.image.pixels)).count == requests.count)
        let shared = try await golden.pipeline()
        try shared.encodeConditions(of: requests)
        shared.releaseEncoders()
        for (request, picture) in zip(requests, alone) {
            #expect(try shared.render(request).png == picture.png)
        }
        for (request, picture) in zip(requests, alone).reversed() {
            #expect(try shared.render(request).png == picture.png)
        }
    }

    /// The task, and one change of it a request; every one gives another picture.
    private func variants(of golden: Golden) throws -> [RenderRequest] {
        let base = try golden.request()
        let changes: [(inout RenderRequest) -> Void] = [
            { _ in },
            { $0.prompt = "[ref#2] and [ref#1] in the rain" },
            { $0.seed = 8 },
            { $0.posterior = .sample },
            { $0.conditions.reverse() },
            {
                $0.conditions[0].slot = 2
                $0.conditions[1].slot = 1
            },
            {
                $0.conditions.removeLast()
                $0.prompt = "the woman from [ref#1]"
            },
            {
                $0.conditions = []
                $0.prompt = "a woman"
            },
            { $0.negativePrompt = "dark" },
            { $0.trueCFG = TrueCFG() },
            { $0.trueCFG.guidance = 1 },
            { $0.guidance = 2 },
            { $0.firstStepGuidance = 0 },
            { ($0.width, $0.height) = ($0.height, $0.width) },
            { $0.maxTextTokens = 20 },
            { $0.noise = .bfloat16 },
            {
                $0.prepare = .resize
                $0.refRes = 64
            },
        ]
        return try changes.map { change in
            var request = base
            change(&request)
            try request.validate()
            return request
        }
    }

    @Test("the preview after the last step is the picture; an earlier one is not")
    func previews() async throws {
        let golden = Golden.all[0]
        var previews: [PixelImage] = []
        var steps: [Int] = []
        let picture = try await golden.pipeline().render(golden.request()) { progress in
            steps.append(progress.step)
            #expect(progress.steps == 3)
            previews.append(try progress.preview())
        }
        #expect(steps == [1, 2, 3])
        #expect(previews.last == picture.image)
        #expect(previews.first != picture.image)
        #expect(try await golden.pipeline().render(golden.request()).png == picture.png)
    }

    @Test("what a step's observer throws ends the render, and the pipeline goes on")
    func interruption() async throws {
        struct Stop: Error {}
        let golden = Golden.all[0]
        let pipeline = try await golden.pipeline()
        let request = try golden.request()
        var steps = 0
        #expect(throws: Stop.self) {
            try pipeline.render(request) { _ in
                steps += 1
                if steps == 2 { throw Stop() }
            }
        }
        #expect(steps == 2)
        #expect(
            try pipeline.render(request).png
                == (try await golden.pipeline().render(request)).png
        )
    }

    @Test("the text chunk holds what determines the picture, and no path")
    func provenance() async throws {
        let golden = Golden.all[1]
        let png = try await golden.pipeline().render(golden.request()).png
        let texts = try PNGText.read(png, name: "png")
        #expect(texts.map(\.keyword) == ["dreamfarm"])
        let text = try #require(texts.first).text
        let digest = try await ModelDirectory(path: golden.model).baseDigest(threads: 2)
        for part in [
            "\"seed\":4294967301", "\"model\":\"\(digest)\"", "\"steps\":2", "\"width\":48",
            "\"prompt\":\"a cup of coffee next to an open book\"",
            "\"negativePrompt\":\"watermark, text\"", "\"precision\":\"float32\"",
        ] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        #expect(!text.contains("Goldens"))
    }
}
