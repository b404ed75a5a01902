import Networks
import Tensors
import Testing

@Suite
struct AutoencoderTests {
    @Test
    func everyGoldenIsRead() {
        #expect(AutoencoderGolden.all.count == 6)
    }

    @Test(arguments: AutoencoderGolden.all)
    func decodesAsTheReference(_ golden: AutoencoderGolden) throws {
        let reader = LayerReader(FormulaSource())
        let decoder = try AutoencoderDecoder(golden.configuration, from: reader)
        let out = golden.decode(decoder, tiling: .never, threads: 2)
        expectClose(out, golden.decoded)
    }

    @Test(arguments: AutoencoderGolden.all)
    func encodesAsTheReference(_ golden: AutoencoderGolden) throws {
        let reader = LayerReader(FormulaSource())
        let encoder = try AutoencoderEncoder(golden.configuration, from: reader)
        let out = golden.encode(encoder, tiling: .never, threads: 2)
        expectClose(out.mean, golden.mean)
        expectClose(out.logVariance, golden.logVariance)
    }

    @Test(
        arguments: AutoencoderGolden.all,
        [
            AutoencoderTiling(joinUpsamplingAbove: 0, recomputeHiddenAbove: .max),
            AutoencoderTiling(joinUpsamplingAbove: 0, recomputeHiddenAbove: 0),
            AutoencoderTiling(joinUpsamplingAbove: .max, recomputeHiddenAbove: 0),
            AutoencoderTiling(joinUpsamplingAbove: 200, recomputeHiddenAbove: 400),
        ]
    )
    func savingMemoryChangesNoBit(
        _ golden: AutoencoderGolden,
        _ tiling: AutoencoderTiling
    ) throws {
        let autoencoder = try Autoencoder(golden.configuration, from: FormulaSource())
        let decoded = golden.decode(autoencoder.decoder, tiling: .never, threads: 2)
        let thrifty = golden.decode(autoencoder.decoder, tiling: tiling, threads: 2)
        #expect(decoded.values == thrifty.values)
        let encoded = golden.encode(autoencoder.encoder, tiling: .never, threads: 2)
        let tiled = golden.encode(autoencoder.encoder, tiling: tiling, threads: 2)
        #expect(encoded.mean.values == tiled.mean.values)
        #expect(encoded.logVariance.values == tiled.logVariance.values)
    }

    @Test(arguments: AutoencoderGolden.all)
    func threadsChangeNoBit(_ golden: AutoencoderGolden) throws {
        let autoencoder = try Autoencoder(golden.configuration, from: FormulaSource())
        let one = golden.decode(autoencoder.decoder, tiling: .init(), threads: 1)
        let encoded = golden.encode(autoencoder.encoder, tiling: .init(), threads: 1)
        for threads in [2, 5] {
            let many = golden.decode(autoencoder.decoder, tiling: .init(), threads: threads)
            #expect(one.values == many.values)
            let mean = golden.encode(autoencoder.encoder, tiling: .init(), threads: threads).mean
            #expect(encoded.mean.values == mean.values)
        }
    }

    /// Bands of several rows of tiles, wide and tall enough that windows wrap round.
    @Test
    func aLargerPictureIsTheSameWhenSavingMemory() throws {
        let configuration = try #require(AutoencoderGolden.all.first).configuration
        let decoder = try AutoencoderDecoder(configuration, from: LayerReader(FormulaSource()))
        let latent = FormulaSource.tensor("latent", rows: 4, columns: 90 * 80)
        let compute = Compute(threads: 2)
        func decode(_ tiling: AutoencoderTiling) -> [Float] {
            decoder.decode(latent: latent, height: 90, width: 80, tiling: tiling, in: compute)
                .values
        }
        let whole = decode(.never)
        #expect(whole == decode(.init(joinUpsamplingAbove: 0, recomputeHiddenAbove: .max)))
        #expect(whole == decode(.init(joinUpsamplingAbove: 0, recomputeHiddenAbove: 0)))
        #expect(whole.contains { abs($0) > 0.1 })
    }

    @Test(arguments: [(bias: Float(100), bound: Float(20)), (bias: -100, bound: -30)])
    func theLogarithmOfTheVarianceIsBounded(bias: Float, bound: Float) throws {
        let golden = try #require(AutoencoderGolden.all.first)
        var source = FormulaSource()
        source.constants["encoder.conv_out.bias"] = bias
        let encoder = try AutoencoderEncoder(golden.configuration, from: LayerReader(source))
        let out = golden.encode(encoder, tiling: .init(), threads: 1)
        #expect(out.logVariance.values.allSatisfy { $0 == bound })
        #expect(out.mean.values.allSatisfy { abs($0) > 50 })
    }

    @Test
    func aMissingParameterIsNamed() throws {
        let golden = try #require(AutoencoderGolden.all.first)
        let name = "decoder.up_blocks.1.resnets.0.conv_shortcut.bias"
        #expect(throws: FormulaSource.Missing(name: name)) {
            try Autoencoder(golden.configuration, from: FormulaSource(missing: [name]))
        }
    }

    @Test
    func unusableConfigurationsAreRefused() throws {
        let good = try #require(AutoencoderGolden.all.first).configuration
        func error(_ change: (inout AutoencoderConfiguration) -> Void) -> AutoencoderError? {
            var configuration = good
            change(&configuration)
            do {
                _ = try Autoencoder(configuration, from: FormulaSource())
                return nil
            } catch {
                return error as? AutoencoderError
            }
        }
        #expect(error { _ in } == nil)
        #expect(error { $0.blockOutChannels = [] } == .noLevels)
        #expect(error { $0.normNumGroups = 3 } == .unevenGroups(channels: 4, groups: 3))
        #expect(
            error { $0.layersPerBlock = 0 } == .notPositive(key: "layers_per_block", value: 0)
        )
        #expect(
            error { $0.normNumGroups = 3 }?.description
                == "vae/config.json: 4 channels of block_out_channels do not divide into 3 groups;"
                + " correct norm_num_groups"
        )
    }

    /// At most 30 times the reference's own rounding, or 2e-5 of the standard deviation.
    private func expectClose(
        _ out: Tensor,
        _ golden: AutoencoderGolden.Output,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let expected = golden.values.map { Double($0) }
        #expect(out.values.count == expected.count, sourceLocation: sourceLocation)
        let mean = expected.reduce(0, +) / Double(expected.count)
        let variance =
            expected.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(expected.count)
        let error = zip(out.values, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
        let bound = max(30 * golden.rounding, 2e-5 * variance.squareRoot())
        #expect(error <= bound, sourceLocation: sourceLocation)
    }
}

extension AutoencoderGolden {
    func decode(
        _ decoder: AutoencoderDecoder,
        tiling: AutoencoderTiling,
        threads: Int
    ) -> Tensor {
        decoder.decode(
            latent: FormulaSource.tensor(
                "latent",
                rows: configuration.latentChannels,
                columns: latent[0] * latent[1]
            ),
            height: latent[0],
            width: latent[1],
            tiling: tiling,
            in: Compute(threads: threads)
        )
    }

    func encode(
        _ encoder: AutoencoderEncoder,
        tiling: AutoencoderTiling,
        threads: Int
    ) -> LatentDistribution {
        encoder.encode(
            image: FormulaSource.tensor("image", rows: 3, columns: image[0] * image[1]),
            height: image[0],
            width: image[1],
            tiling: tiling,
            in: Compute(threads: threads)
        )
    }
}
