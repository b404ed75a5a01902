import GoldenSupport
import Imaging
import Networks
import Tensors
import Testing

@testable import Diffusion

/// Users' adapters that come and go with requests, over a model that stays.
@Suite
struct RequestAdapterTests {
    private let golden = Golden.all[0]

    /// Writes an adapter for some modules of the golden model, one of them without numbers.
    func adapter(
        _ folder: GoldenFolder,
        _ name: String,
        modules: [(name: String, inputs: Int, outputs: Int)],
        broken: String? = nil
    ) throws -> String {
        let rank = 2
        let shapes = modules.flatMap { module in
            [
                ("transformer.\(module.name).lora_A.weight", [rank, module.inputs]),
                ("transformer.\(module.name).lora_B.weight", [module.outputs, rank]),
            ]
        }
        let path = "\(folder.path)/\(name)"
        let writer = try SafetensorsWriter(
            path: path,
            tensors: shapes.map {
                SafetensorsWriter.Tensor(name: $0.0, type: .float32, shape: $0.1)
            }
        )
        for (index, shape) in shapes.enumerated() {
            let isBroken = broken.map { shape.0.contains($0) } ?? false
            let values = (0..<shape.1.reduce(1, *)).map { value in
                isBroken ? .nan : Float((value * 37 + index * 11 + name.utf8.count) % 41 - 20) / 40
            }
            try values.withUnsafeBufferPointer { try writer.write($0, as: .float32) }
        }
        try writer.finish()
        return path
    }

    func modules() throws -> [(name: String, inputs: Int, outputs: Int)] {
        let c = try ModelDirectory(path: golden.model).transformer.configuration
        return [
            ("single_transformer_blocks.0.attn.to_q", c.hidden, c.hidden),
            ("single_transformer_blocks.0.proj_out", c.hidden + c.mlp, c.hidden),
            ("transformer_blocks.0.attn.add_k_proj", c.hidden, c.hidden),
            ("transformer_blocks.0.ff.net.0.proj", c.hidden, c.mlp),
        ]
    }

    /// What a pipeline of its own makes with adapters, as `dreamfarm render --lora` does.
    private func alone(_ loras: [AdapterSelection.Lora]) async throws -> [UInt8] {
        var selection = try golden.selection()
        selection.loras = loras
        let directory = try ModelDirectory(path: golden.model)
        return try RenderPipeline(
            model: directory,
            digest: try await directory.baseDigest(),
            selection: selection,
            compute: Compute(threads: 2)
        ).render(golden.request()).png
    }

    @Test("consecutive requests give the bytes of pipelines of their own")
    func sequence() async throws {
        let folder = try GoldenFolder()
        let modules = try modules()
        let a = try adapter(folder, "a.safetensors", modules: Array(modules[..<2]))
        let b = try adapter(folder, "bb.safetensors", modules: Array(modules[1...]))
        let sets: [[AdapterSelection.Lora]] = [
            [], [.init(path: a, strength: 0.5)],
            [.init(path: b), .init(path: a, strength: -0.3)],
            [.init(path: a, strength: -0.3), .init(path: b)],
            [.init(path: a, strength: 0.5)], [],
        ]
        let pipeline = try await golden.pipeline()
        var notes: [String] = []
        pipeline.log = { notes.append($0) }
        let digest = pipeline.digest
        var pictures: Set<[UInt8]> = []
        for loras in sets {
            var request = try golden.request()
            request.loras = loras
            let picture = try pipeline.render(request)
            #expect(picture.png == (try await alone(loras)))
            pictures.insert(picture.png)
            #expect(pipeline.digest == digest)
        }
        #expect(pictures.count == 4)
        #expect(notes.count { $0 == "reading the transformer" } == 1)
        #expect(pipeline.artifacts.tally.computed == 4)
    }

    @Test("the picture's text has the name that was given, not the path")
    func name() async throws {
        let folder = try GoldenFolder()
        let path = try adapter(folder, "0123abcd", modules: try modules())
        let pipeline = try await golden.pipeline()
        var request = try golden.request()
        request.loras = [.init(path: path, strength: 0.25, name: "grain.safetensors")]
        let png = try pipeline.render(request).png
        let provenance = try Provenance(reading: png, name: "png")
        let lora = try #require(provenance.loras.first)
        #expect(provenance.loras.count == 1)
        #expect(lora.name == "grain.safetensors" && lora.weight == 0.25)
        #expect(lora.digest == (try fileDigest(path)))
        #expect(provenance.farmModelDigest == pipeline.digest.description)

        let again = try provenance.request(
            reference: { try file($0) },
            lora: { _ in path }
        )
        #expect(try await golden.pipeline().render(again).png == png)
    }

    /// The reference's file with a digest.
    private func file(_ reference: Provenance.Reference) throws -> String {
        let conditions = try golden.request().conditions
        return try #require(conditions.first { $0.digest == reference.digest }).name
    }

    @Test("a checkpoint of other adapters is of another model")
    func checkpoint() async throws {
        let folder = try GoldenFolder()
        let path = try adapter(folder, "a.safetensors", modules: try modules())
        let pipeline = try await golden.pipeline()
        var checkpoint: RenderCheckpoint?
        let plain = try golden.request()
        _ = try pipeline.render(plain) { checkpoint = $0.checkpoint() }
        var request = plain
        request.loras = [.init(path: path)]
        #expect(throws: CheckpointError.mismatch(.model)) {
            try pipeline.render(request, resuming: checkpoint)
        }
        let picture = try pipeline.render(plain, resuming: checkpoint)
        #expect(picture.png == (try await alone([])) && picture.computedSteps == 0)
    }

    @Test("an adapter that cannot be used is named, and nothing of it stays")
    func refusals() async throws {
        let folder = try GoldenFolder()
        let modules = try modules()
        let base = try await alone([])
        let notNumbers = try adapter(
            folder,
            "nan.safetensors",
            modules: modules,
            broken: "ff.net.0"
        )
        let other = try adapter(
            folder,
            "other.safetensors",
            modules: [("single_transformer_blocks.0.attn.to_q", 8, 8)]
        )
        let unmatched = try adapter(
            folder,
            "unmatched.safetensors",
            modules: [("single_transformer_blocks.99.attn.to_q", 8, 8)]
        )
        let cases: [(String, RenderFailureKind)] = [
            (notNumbers, .brokenAdapter), (other, .brokenAdapter), (unmatched, .brokenAdapter),
            ("\(golden.folder)/golden.png", .brokenAdapter),
            ("\(folder.path)/none.safetensors", .missingFile),
        ]
        let pipeline = try await golden.pipeline()
        for isLoaded in [false, true] {
            for (path, kind) in cases where isLoaded || path != notNumbers {
                var request = try golden.request()
                request.loras = [.init(path: path)]
                do {
                    _ = try pipeline.render(request)
                    Issue.record("\(path) was taken")
                } catch {
                    #expect(RenderFailureKind(error) == kind, "\(error)")
                    #expect("\(error)".contains(path))
                }
                if isLoaded {
                    #expect(try pipeline.render(golden.request()).png == base)
                }
            }
            _ = try pipeline.render(golden.request())
        }
    }

    @Test("a weight that is no number is refused", arguments: [Float.nan, .infinity])
    func weights(_ weight: Float) throws {
        var request = try golden.request()
        request.loras = [.init(path: "grain.safetensors", strength: weight)]
        #expect(
            throws: RenderRequestError.outOfRange(
                key: "the weight of grain.safetensors",
                value: "\(weight)",
                allowed: "a finite number"
            )
        ) { try request.validate() }
    }
}
