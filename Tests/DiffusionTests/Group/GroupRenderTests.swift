import Collectives
import Foundation
import GoldenSupport
import Imaging
import Tensors
import Testing

@testable import Diffusion

/// Pictures that several members render together, linked over the loopback.
@Suite
struct GroupRenderTests {
    /// What is rendered.
    private struct Work: Sendable {
        var model: String
        var selection: AdapterSelection
        var request: RenderRequest

        init(_ golden: Golden) throws {
            model = golden.model
            selection = try golden.selection()
            request = try golden.request()
        }

        init(starter request: RenderRequest) {
            model = Golden.root + "/../../Models/starter/model"
            selection = AdapterSelection()
            self.request = request
        }
    }

    private struct Outcome {
        let picture: RenderedPicture
        /// The latents after the last step.
        let latents: [Float]
        let numericClass: String
    }

    /// Renders requests one after the other as a group does; with one rank, alone.
    private func render(
        _ work: Work,
        then more: [RenderRequest] = [],
        _ precision: Precision?,
        ranks: Int,
        path: String? = nil
    ) async throws -> [Outcome] {
        let directory = try ModelDirectory(path: path ?? work.model)
        let pipeline = try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(),
            selection: work.selection,
            precision: precision,
            ranks: ranks,
            compute: Compute(threads: 1)
        )
        let group = ranks > 1 ? try GroupThreads(ranks: ranks) : nil
        group?.start { rank, link in
            let follower = try RenderFollower(
                model: directory,
                selection: work.selection,
                precision: precision,
                shard: Shard(rank: rank, size: ranks),
                compute: Compute(threads: 1)
            )
            try follower.follow(link)
        }
        try pipeline.join(group?.links[0])
        let outcomes = Result {
            try ([work.request] + more).map { request in
                let dump = IntermediateDump()
                let picture = try pipeline.render(request, dump: dump)
                let folder = try GoldenFolder()
                let file = "\(folder.path)/dump.safetensors"
                try dump.write(to: file)
                return Outcome(
                    picture: picture,
                    latents: try SafetensorsFile(path: file)
                        .values(of: "latent_step\(request.steps - 1)"),
                    numericClass: "\(pipeline.numericClass)"
                )
            }
        }
        try pipeline.join(nil)
        try group?.close()
        return try outcomes.get()
    }

    /// How far values are from others: relative L2.
    private func distance(_ values: [Float], from others: [Float]) -> Double {
        let difference = zip(values, others).reduce(0.0) { $0 + pow(Double($1.0 - $1.1), 2) }
        return (difference / others.reduce(0.0) { $0 + pow(Double($1), 2) }).squareRoot()
    }

    /// How far two pictures are apart: the largest difference of a value, and decibels.
    private func difference(_ one: PixelImage, _ other: PixelImage) -> (levels: Int, noise: Double)
    {
        let levels = zip(one.pixels, other.pixels).map { abs(Int($0) - Int($1)) }
        let square = Double(levels.reduce(0) { $0 + $1 * $1 }) / Double(levels.count)
        return (levels.max() ?? 0, square == 0 ? .infinity : 10 * log10(255 * 255 / square))
    }

    private func expectNear(
        _ group: Outcome,
        _ alone: Outcome,
        _ precision: Precision,
        _ ranks: Int,
        bound factor: Double = 1
    ) {
        let bounds: [Precision: Double] = [
            .float32: 1e-4, .bfloat16: 2e-2, .int8: 4e-2, .int4: 4e-2,
        ]
        let bound = factor * (bounds[precision] ?? 0)
        #expect(distance(group.latents, from: alone.latents) < bound, "\(precision) on \(ranks)")
        let (levels, noise) = difference(group.picture.image, alone.picture.image)
        #expect(precision == .float32 ? levels <= 1 : noise >= 40, "\(precision) on \(ranks)")
        #expect(group.numericClass == "\(alone.numericClass)/tp\(ranks)")
    }

    /// Models and degrees, the heads evenly split and not.
    private static let cases: [(Golden, Int)] = [
        (Golden.all[0], 2), (Golden.all[0], 3), (Golden.all[1], 2), (Golden.all[2], 2),
    ]

    @Test("a group's latents and pictures are near to a worker's", arguments: cases)
    func degrees(_ golden: Golden, _ ranks: Int) async throws {
        let work = try Work(golden)
        for precision in [Precision.float32, .bfloat16, .int8] {
            let alone = try await render(work, precision, ranks: 1)[0]
            let group = try await render(work, precision, ranks: ranks)[0]
            expectNear(group, alone, precision, ranks)
            let again = try await render(work, precision, ranks: ranks)[0]
            #expect(again.picture.png == group.picture.png)
        }
    }

    /// A picture of the starter model, which has 4 heads.
    private static var starter: RenderRequest {
        RenderRequest(
            prompt: "a mushroom on snow",
            width: 64,
            height: 64,
            steps: 4,
            guidance: 3.5,
            seed: 5,
            refRes: 64
        )
    }

    @Test("so are those of the starter model", arguments: [2, 3, 4])
    func starterModel(_ ranks: Int) async throws {
        let work = Work(starter: Self.starter)
        for precision in [Precision.float32, .bfloat16, .int8] {
            let alone = try await render(work, precision, ranks: 1)[0]
            let group = try await render(work, precision, ranks: ranks)[0]
            expectNear(group, alone, precision, ranks)
        }
    }

    @Test("every rank takes the same decisions of a step cache, in both branches of true CFG")
    func stepCache() async throws {
        var request = Self.starter
        request.stepCache = 0.3
        request.steps = 8
        request.trueCFG = TrueCFG(scale: 2, start: 0, end: 6, guidance: 3.5)
        request.negativePrompt = "blurry"
        let work = Work(starter: request)
        let alone = try await render(work, .float32, ranks: 1)[0]
        let group = try await render(work, .float32, ranks: 3)[0]
        expectNear(group, alone, .float32, 3)
    }

    @Test(
        "a model that was packed whole is read in parts",
        arguments: [Precision.bfloat16, .int8, .int4]
    )
    func packed(_ precision: Precision) async throws {
        let golden = Golden.all[0]
        let work = try Work(golden)
        let folder = try GoldenFolder()
        let path = "\(folder.path)/packed"
        let model = try ModelDirectory(path: golden.model)
        try ModelPacking(precision, threads: 1).write(
            model,
            digest: try await model.baseDigest(),
            selection: work.selection,
            to: path
        )
        let alone = try await render(work, nil, ranks: 1, path: path)[0]
        for ranks in [2, 3] {
            let group = try await render(work, nil, ranks: ranks, path: path)[0]
            let distance = distance(group.latents, from: alone.latents)
            #expect(distance < (precision == .bfloat16 ? 2e-2 : 4e-2), "\(precision) on \(ranks)")
            let suffix = precision == .bfloat16 ? "" : "-packed"
            #expect(group.numericClass == "\(alone.numericClass)/tp\(ranks)\(suffix)")
        }
    }

    @Test("users' adapters come and go on every rank, on layers that are split either way")
    func loras() async throws {
        let adapters = RequestAdapterTests()
        let folder = try GoldenFolder()
        let modules =
            try adapters.modules() + [("transformer_blocks.0.attn.to_out.0", 48, 48)]
        let path = try adapters.adapter(folder, "grain.safetensors", modules: modules)
        let work = try Work(Golden.all[0])
        var grainy = work.request
        grainy.loras = [AdapterSelection.Lora(path: path, strength: 0.8)]
        let requests = [grainy, work.request]
        for precision in [Precision.float32, .int8] {
            let alone = try await render(work, then: requests, precision, ranks: 1)
            let group = try await render(work, then: requests, precision, ranks: 3)
            for (group, alone) in zip(group, alone) { expectNear(group, alone, precision, 3) }
            #expect(alone[1].picture.image != alone[0].picture.image)
            #expect(group[2].picture.png == group[0].picture.png)
        }
    }

    @Test("a model with more ranks than heads is refused")
    func tooManyRanks() async throws {
        await #expect(throws: GroupError.tooManyRanks(ranks: 4, heads: 3)) {
            try await render(try Work(Golden.all[0]), .float32, ranks: 4)
        }
    }

    @Test("a member that goes ends the picture with an error, and no picture comes of it")
    func lostMember() async throws {
        let work = try Work(Golden.all[0])
        let directory = try ModelDirectory(path: work.model)
        let pipeline = try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(),
            selection: work.selection,
            precision: .float32,
            ranks: 2,
            compute: Compute(threads: 1)
        )
        #expect(throws: GroupError.self) { try pipeline.render(work.request) }
        let group = try GroupThreads(ranks: 2)
        group.start { rank, link in
            let follower = try RenderFollower(
                model: directory,
                selection: work.selection,
                precision: .float32,
                shard: Shard(rank: rank, size: 2),
                compute: Compute(threads: 1)
            )
            try follower.follow(link) { link.close() }
        }
        try pipeline.join(group.links[0])
        let begin = ContinuousClock.now
        #expect(throws: GroupError.self) { try pipeline.render(work.request) }
        #expect(ContinuousClock.now - begin < .seconds(60))
        try pipeline.join(nil)
        try group.close()
    }
}
