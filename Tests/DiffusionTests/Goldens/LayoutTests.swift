import GoldenSupport
import Tensors
import Testing

@testable import Diffusion

/// One model in two layouts is one model.
@Suite
struct LayoutTests {
    private static let companions = [
        "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "dreamo", "scheduler",
    ]

    private func expectSame(_ golden: Golden, _ other: ModelDirectory) async throws {
        let model = try ModelDirectory(path: golden.model)
        #expect(model.layout == .diffusers)
        #expect(other.layout == .bfl)
        let digest = try await model.baseDigest(threads: 2)
        #expect(try await other.baseDigest(threads: 2) == digest)
        #expect(try await other.digest(threads: 2) == model.digest(threads: 2))
        let request = try golden.request()
        let expected = try await golden.pipeline(of: model).render(request)
        let pipeline = try await golden.pipeline(of: other)
        let picture = try pipeline.render(request)
        #expect(picture.image == expected.image)
        #expect(picture.png == expected.png)
        #expect(pipeline.adapters.adapters.isEmpty == (golden.name == "plain-bfloat16"))
    }

    @Test("BFL's single files, everything beside them", arguments: Golden.all)
    func beside(_ golden: Golden) async throws {
        let folder = try GoldenFolder()
        let rewrite = BFLRewrite(golden: golden)
        try rewrite.writeWeights(to: folder.path)
        try rewrite.link(Self.companions, into: folder.path)
        try await expectSame(golden, ModelDirectory(path: folder.path))
        let file = "\(folder.path)/flux1-dev.safetensors"
        try await expectSame(golden, ModelDirectory(path: file))
    }

    @Test(
        "a checkpoint's prefix, and the other parts from a second directory",
        arguments: Golden.all
    )
    func parts(_ golden: Golden) async throws {
        let folder = try GoldenFolder()
        let rewrite = BFLRewrite(golden: golden, prefix: "model.diffusion_model.")
        try rewrite.writeWeights(to: folder.path)
        try await expectSame(golden, ModelDirectory(path: folder.path, parts: golden.model))
    }

    @Test(
        "without a schedule's file, FLUX.1-dev's constants stand in",
        arguments: Golden.withLayers
    )
    func constants(_ golden: Golden) async throws {
        let folder = try GoldenFolder()
        let rewrite = BFLRewrite(golden: golden)
        try rewrite.writeWeights(to: folder.path)
        try rewrite.link(Self.companions.dropLast(), into: folder.path)
        let model = try ModelDirectory(path: folder.path)
        #expect(model.schedulerFile == nil)
        try await expectSame(golden, model)
    }

    @Test("adapters change the picture in either layout")
    func adapters() async throws {
        let golden = Golden.all[0]
        let folder = try GoldenFolder()
        let rewrite = BFLRewrite(golden: golden)
        try rewrite.writeWeights(to: folder.path)
        try rewrite.link(Self.companions.filter { $0 != "dreamo" }, into: folder.path)
        let plain = try ModelDirectory(path: folder.path)
        var request = try golden.request()
        request.prompt = "a woman"
        let adapted = try await golden.pipeline().render(request)
        let picture = try await golden.pipeline(of: plain).render(request)
        #expect(picture.image != adapted.image)
    }
}
