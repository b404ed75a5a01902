import FarmModel
import Testing

@Suite struct CostModelTests {
    private let model = CostModel(.flux)

    private func settings(_ text: String) throws -> RenderSettings {
        let defaults = ModelDefaults(width: 1024, height: 1024, refRes: 512, steps: 12, guidance: 4)
        let job = try JobSpecification(parsing: text)
        return job.images(defaults: defaults, seed: 0, label: "j")[0].settings
    }

    @Test("FLUX.1's constants follow from its sizes")
    func constants() {
        let constants = CostConstants.flux
        #expect((constants.flopsPerToken / 1e7).rounded() == 1291)
        #expect((constants.flopsPerTokenPair / 1e3).rounded() == 700)
        // By hand: 57 blocks of 12 · 3072² and of 2 · 3072 multiplications.
        #expect(constants.flopsPerToken == Double(2 * 57 * 12 * 3072 * 3072))
        #expect(constants.flopsPerTokenPair == Double(2 * 57 * 2 * 3072))
    }

    @Test("a smaller model's constants are its own")
    func smallModel() {
        let sizes = ModelSizes(
            blocks: BlockSizes(doubleBlocks: 2, singleBlocks: 3, hidden: 128, mlp: 512),
            t5: ModelSizes.T5Sizes(layers: 2, model: 48, inner: 48, feedForward: 144),
            autoencoderChannels: [32, 32, 64, 64]
        )
        let constants = CostConstants(sizes)
        #expect(constants.flopsPerToken == Double(2 * 5 * 12 * 128 * 128))
        #expect(constants.flopsPerTokenPair == Double(2 * 5 * 2 * 128))
        #expect(constants.blocks == sizes.blocks)
        #expect(constants.flopsPerDecodedPixel > 0)
        let large = CostConstants.flux.flopsPerDecodedPixel
        #expect(constants.flopsPerDecodedPixel < large / 10)
    }

    @Test("encoders and autoencoder are smaller terms")
    func smallerTerms() throws {
        let constants = CostConstants.flux
        // T5-XXL has 4.6 billion parameters in its layers: twice that a token, and its attention.
        #expect((9.2e9...9.8e9).contains(constants.flopsPerTextToken))
        let decode = constants.flopsPerDecodedPixel * 1024 * 1024
        #expect((4e12...12e12).contains(decode))
        #expect(constants.flopsPerEncodedPixel < constants.flopsPerDecodedPixel)
        let cost = model.cost(of: try settings("parameters: {prompt: a}"))
        let steps = Double(cost.steps) * cost.stepFlops
        #expect(steps > 0.9 * cost.flops && steps < cost.flops)
    }

    @Test("tokens are the text's, the picture's and the references'")
    func tokens() throws {
        let cost = model.cost(
            of: try settings(
                """
                parameters:
                  prompt: a
                  size: 768x1024
                  references: [{image: a, task: ip}, {image: b, task: ip}]
                """
            )
        )
        let tokens = 512 + 3072 + 2 * 1024
        #expect(cost.tokens == tokens)
        #expect(cost.denoiseTokens == 12 * tokens)
        let count = Double(tokens)
        let matrices = CostConstants.flux.flopsPerToken * count
        let attention = CostConstants.flux.flopsPerTokenPair * count * count
        #expect(abs(cost.stepFlops / (matrices + attention) - 1) < 1e-12)
    }

    @Test("max_text_tokens shortens the text")
    func textTokens() throws {
        let cost = model.cost(
            of: try settings("parameters: {prompt: a, max_text_tokens: 128, size: 256x256}")
        )
        #expect(cost.tokens == 128 + 256)
    }

    @Test(
        "a reference counts as large as it is encoded",
        arguments: [
            ("resize", nil, 1024), ("resize", PixelSize(width: 512, height: 512), 1024),
            // 2000×1000: √(512² / 2e6) = 0.36204; 724 × 362 are cut to 720 × 352.
            ("resize", PixelSize(width: 2000, height: 1000), 990),
            ("resize", PixelSize(width: 1, height: 100_000), 10119),
            ("none", PixelSize(width: 64, height: 128), 32), ("none", nil, 1024),
        ]
    )
    func references(prepare: String, size: PixelSize?, tokens: Int) throws {
        let digest = BlobDigest(ofText: "a")
        let settings = try settings(
            """
            parameters: {prompt: a, references: [{image: a, task: ip, sha256: \(digest)}]}
            render: {prepare: \(prepare)}
            """
        )
        let sizes = size.map { [digest: $0] } ?? [:]
        let cost = model.cost(of: settings, referenceSizes: sizes)
        #expect(cost.tokens - 512 - 4096 == tokens)
    }

    @Test(
        "true guidance adds a forward without references in the steps of its window",
        arguments: [
            ("{scale: 2, start: 1, end: 4}", 3), ("{scale: 2, start: 10, end: 40}", 2),
            ("{scale: 1, start: 0, end: 12}", 0), ("{scale: 2, start: 4, end: 1}", 0),
            ("{scale: 2, start: 20, end: 30}", 0),
        ]
    )
    func trueGuidance(window: String, steps: Int) throws {
        let base = "parameters: {prompt: a, references: [{image: a, task: ip}]}"
        let plain = model.cost(of: try settings(base))
        let guided = model.cost(of: try settings(base + "\nrender: {true_cfg: \(window)}"))
        let tokens = 512 + 4096
        let expected = Double(steps) * model.forward(tokens: tokens)
        let added = 12 * (guided.stepFlops - plain.stepFlops)
        let error = abs(added - expected)
        #expect(error <= 1e-9 * plain.flops)
        #expect(guided.denoiseTokens - plain.denoiseTokens == steps * tokens)
    }

    @Test(
        "a task gets as many images as its time takes, and workers their share",
        arguments: [
            (60.0, 1.0, 10_000, 1, 60), (60, 1, 200, 3, 17), (60, 90, 200, 3, 1),
            (60, 1, 3, 8, 1), (0, 1, 200, 3, 1), (86400, 1, 100_000, 1, 100),
        ]
    )
    func chunks(target: Double, seconds: Double, images: Int, workers: Int, expected: Int) {
        var chunk = JobChunk()
        chunk.targetSeconds = target
        let count = CostModel.imagesPerTask(
            chunk,
            imageFlops: seconds * 1e9,
            speed: 1e9,
            images: images,
            workers: workers
        )
        #expect(count == expected)
        let unknown = CostModel.imagesPerTask(
            chunk,
            imageFlops: 1e9,
            speed: nil,
            images: images,
            workers: workers
        )
        #expect(unknown == 1)
    }

    @Test("a fixed count is taken as it is")
    func fixedChunk() {
        var chunk = JobChunk()
        chunk.count = 10
        func count(_ images: Int) -> Int {
            CostModel.imagesPerTask(chunk, imageFlops: 1, speed: nil, images: images, workers: 99)
        }
        #expect(count(1000) == 10)
        #expect(count(4) == 4)
    }

    @Test("times follow from speeds, and speeds from times")
    func times() {
        #expect(CostModel.seconds(6e9, speed: 2e9) == 3)
        #expect(CostModel.seconds(6e9, speed: nil) == nil)
        #expect(CostModel.seconds(6e9, speed: 0) == nil)
        #expect(CostModel.speed(stepFlops: 6e9, stepSeconds: 3) == 2e9)
        #expect(CostModel.speed(stepFlops: 6e9, stepSeconds: 0) == nil)
        #expect(CostModel.stepLimit(stepSeconds: nil) == 120)
        #expect(CostModel.stepLimit(stepSeconds: 60) == 300)
        #expect(CostModel.timeLimit(predictedSeconds: 100) == 400)
        #expect(CostModel.timeLimit(predictedSeconds: 1) == 120)
        #expect(CostModel.timeLimit(predictedSeconds: nil) == nil)
    }
}
