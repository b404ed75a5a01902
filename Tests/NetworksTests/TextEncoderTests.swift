import GoldenSupport
import Networks
import Tensors
import Testing

/// The text encoders, layer by layer and whole, against what transformers makes of them.
@Suite
struct TextEncoderTests {
    /// The T5 encoder of a golden model, with DreamO's placeholders where it has them.
    private func t5(_ golden: Golden) throws -> T5Encoder {
        let configuration = try golden.configuration(T5Configuration.self, of: "text_encoder_2")
        let source = try SafetensorsSet(folder: "\(golden.model)/text_encoder_2")
        guard golden.name != "plain-bfloat16" else {
            return try T5Encoder(configuration, from: LayerReader(source))
        }
        let dreamO = try SafetensorsFile(path: "\(golden.model)/dreamo/dreamo.safetensors")
        let rows = try dreamO.values(of: "dreamo_t5_embedding.weight")
        let vocabulary = try #require(try golden.run().values("t5_vocab").first)
        return try T5Encoder(
            configuration,
            from: LayerReader(source),
            placeholders: Tensor(
                rows: 10,
                columns: configuration.dModel,
                values: Array(rows.suffix(10 * configuration.dModel))
            ),
            firstPlaceholder: Int(vocabulary) - 10
        )
    }

    private func clip(_ golden: Golden) throws -> CLIPTextEncoder {
        try CLIPTextEncoder(
            golden.configuration(CLIPConfiguration.self, of: "text_encoder"),
            from: LayerReader(SafetensorsSet(folder: "\(golden.model)/text_encoder"))
        )
    }

    private func ids(_ run: GoldenTensors, _ name: String) throws -> [Int] {
        try run.values(name).map { Int($0) }
    }

    @Test(arguments: Golden.all)
    func features(_ golden: Golden) throws {
        let run = try golden.run()
        let compute = Compute(threads: 2)
        let features = try t5(golden)(ids(run, "t5_ids"), in: compute)
        #expect(try run.difference("t5_embeds", features.values) == nil)
        let pooled = try clip(golden)(ids(run, "clip_ids"), in: compute)
        #expect(try run.difference("pooled", pooled.values) == nil)
    }

    @Test(arguments: Golden.withLayers)
    func t5Layers(_ golden: Golden) throws {
        let layers = try golden.layers()
        var outputs: [String: [Float]] = [:]
        let features = try t5(golden)(
            ids(golden.run(), "t5_ids"),
            in: Compute(threads: 2),
            trace: { outputs[$0] = $1.values }
        )
        outputs["encoder.final_layer_norm"] = features.values
        #expect(outputs.count == 5)
        for (name, values) in outputs {
            #expect(try layers.difference("t5.\(name).out", values) == nil)
        }
        let ids = try ids(golden.run(), "t5_ids").map { Float($0) }
        #expect(try layers.difference("t5.shared.in", ids) == nil)
    }

    @Test(arguments: Golden.withLayers)
    func clipLayers(_ golden: Golden) throws {
        let layers = try golden.layers()
        var outputs: [String: [Float]] = [:]
        let clip = try clip(golden)
        let ids = try ids(golden.run(), "clip_ids")
        let pooled = clip(ids, in: Compute(threads: 2), trace: { outputs[$0] = $1.values })
        #expect(outputs.count == 3)
        for (name, values) in outputs {
            #expect(try layers.difference("clip.\(name).out", values) == nil)
        }
        let norm = try layers.matrix("clip.text_model.final_layer_norm.out")
        let row = try #require(ids.firstIndex(of: ids.max() ?? 0))
        let distance = zip(pooled.values, norm.rows(row..<row + 1).values).map { abs($0 - $1) }
        #expect((distance.max() ?? .infinity) < 2e-5)
    }

    @Test("the pooled row is that of the first greatest id")
    func pooledRow() throws {
        let clip = try clip(Golden.all[0])
        let compute = Compute(threads: 1)
        let end = clip.configuration.vocabSize - 1
        let short = clip([1, 5, end], in: compute)
        func distance(_ ids: [Int]) -> Float {
            zip(clip(ids, in: compute).values, short.values).map { abs($0 - $1) }.max() ?? .infinity
        }
        #expect(distance([1, 5, end, end, end]) < 1e-5)
        #expect(distance([1, 5, end, 7, 8]) < 1e-5)
        #expect(distance([1, 6, end]) > 1e-2)
    }

    @Test("T5 attends to padding", arguments: Golden.all)
    func padding(_ golden: Golden) throws {
        let t5 = try t5(golden)
        let compute = Compute(threads: 2)
        let alone = t5([5, 6, 1], in: compute)
        let padded = t5([5, 6, 1, 0, 0], in: compute)
        #expect(padded.rows == 5)
        #expect(alone.values != padded.rows(0..<3).values)
    }

    @Test("threads change no bit", arguments: Golden.all)
    func threads(_ golden: Golden) throws {
        let run = try golden.run()
        let (t5, clip) = try (t5(golden), clip(golden))
        let (t5IDs, clipIDs) = try (ids(run, "t5_ids"), ids(run, "clip_ids"))
        let one = Compute(threads: 1)
        let three = Compute(threads: 3)
        #expect(t5(t5IDs, in: one).values == t5(t5IDs, in: three).values)
        #expect(clip(clipIDs, in: one).values == clip(clipIDs, in: three).values)
    }
}
