import GoldenSupport
import Imaging
import Networks
import Tensors
import Testing

@testable import Diffusion

/// Small pictures of a render under way.
@Suite
struct ThumbnailTests {
    /// How far two pictures of one size are apart: the mean distance of their levels.
    private func distance(_ first: PixelImage, _ second: PixelImage) -> Double {
        let distances = zip(first.pixels, second.pixels).map { abs(Int($0) - Int($1)) }
        return Double(distances.reduce(0, +)) / Double(distances.count)
    }

    /// The picture of one colour that is nearest to another.
    private func flat(like image: PixelImage) -> PixelImage {
        let count = image.width * image.height
        let means = (0..<3).map { colour in
            UInt8((0..<count).reduce(0) { $0 + Int(image.pixels[3 * $1 + colour]) } / count)
        }
        return PixelImage(
            width: image.width,
            height: image.height,
            pixels: (0..<count).flatMap { _ in means }
        )
    }

    @Test("a fitted map shows what the decoder makes of other latents", arguments: Golden.all)
    func fit(_ golden: Golden) async throws {
        let pipeline = try await golden.pipeline()
        let configuration = pipeline.model.autoencoder.configuration
        var request = try golden.request()
        (request.width, request.height) = (128, 96)
        let grid = pipeline.outputGrid(request)
        // smooth latents, as pictures have them: each value for a patch of 2 × 2 tokens
        var generator = TorchGenerator(seed: 5)
        let drawn = Tensor(rows: grid.count, columns: configuration.latentChannels)
        generator.fillNormal(drawn.elements)
        let tokens = Tensor(rows: grid.count, columns: 4 * configuration.latentChannels)
        for token in 0..<grid.count {
            let (row, column) = (token / grid.columns, token % grid.columns)
            let source = drawn.row(row / 2 * grid.columns + column / 2)
            for feature in 0..<tokens.columns {
                tokens.row(token)[feature] = source[feature / 4]
            }
        }
        let shown = try pipeline.loadProjection().picture(tokens, grid: grid)
        let decoded = PixelImage(
            width: request.width,
            height: request.height,
            pixels: try pipeline.decode(tokens, request).rgb8
        )
        let expected = AreaResampler.resize(decoded, width: shown.width, height: shown.height)
        #expect(shown.width == 2 * grid.columns && shown.height == 2 * grid.rows)
        let ratio = distance(shown, expected) / distance(flat(like: expected), expected)
        // the decoders of these models are random: little of them is linear
        #expect(ratio < 0.95, "\(ratio) of a flat picture's distance")
    }

    private static var small: AutoencoderConfiguration {
        var configuration = AutoencoderConfiguration.flux
        configuration.latentChannels = 4
        configuration.blockOutChannels = [32, 32]
        return configuration
    }

    @Test(
        "the fit to a linear decoder is that decoder, FLUX's own autoencoder is no exception",
        arguments: [ThumbnailTests.small, .flux]
    )
    func linear(_ configuration: AutoencoderConfiguration) {
        let channels = configuration.latentChannels
        let factor = configuration.spatialFactor
        let factors: [[Float]] = (0..<channels).map { channel in
            let levels = [channel % 7, (channel + 3) % 5, (2 * channel + 1) % 6]
            return levels.map { Float($0 - 3) / 20 }
        }
        let bias: [Float] = [0.05, -0.1, 0]
        let fitted = LatentProjection(configuration) { latent, side in
            let planes = Tensor(rows: 3, columns: factor * factor * side * side)
            for pixel in 0..<planes.columns {
                let (top, left) = (pixel / (factor * side), pixel % (factor * side))
                let source = top / factor * side + left / factor
                for colour in 0..<3 {
                    planes.row(colour)[pixel] = bias[colour]
                    for (channel, factor) in factors.enumerated() {
                        let value = latent.row(channel)[source]
                        let scaled =
                            (value - configuration.shiftFactor) * configuration.scalingFactor
                        planes.row(colour)[pixel] += factor[colour] * scaled
                    }
                }
            }
            return planes
        }
        let exact = LatentProjection(factors: factors, bias: bias)
        let tokens = Tensor(
            rows: 6,
            columns: 4 * channels,
            values: (0..<24 * channels).map { Float(($0 * 37) % 23) / 8 - 1.4 }
        )
        let grid = TokenGrid(rows: 2, columns: 3)
        let distances = zip(
            fitted.picture(tokens, grid: grid).pixels,
            exact.picture(tokens, grid: grid).pixels
        ).map { abs(Int($0) - Int($1)) }
        #expect(distances.allSatisfy { $0 <= 1 })
        #expect(Set(exact.picture(tokens, grid: grid).pixels).count > 20)
    }

    @Test("a map puts each channel of each latent pixel in its place")
    func places() {
        let map = LatentProjection(factors: [[1, 0, 0], [0, 0.5, 0]], bias: [0, 0, -1])
        let tokens = Tensor(rows: 2, columns: 8)
        // channel 0 is red, at (dy, dx) = (1, 0) of the first token; channel 1 green
        tokens.row(0)[2] = 1
        tokens.row(1)[4 + 1] = 2
        let image = map.picture(tokens, grid: TokenGrid(rows: 1, columns: 2))
        #expect(image.width == 4 && image.height == 2)
        #expect(image[0, 1] == [255, 128, 0])
        #expect(image[3, 0] == [128, 255, 0])
        #expect(image[1, 0] == [128, 128, 0])
        tokens.row(0)[0] = .nan
        let broken = map.picture(tokens, grid: TokenGrid(rows: 1, columns: 2))
        #expect(broken[0, 0] == [0, 0, 0] && broken[3, 0] == [128, 255, 0])
    }

    @Test("each step has a small JPEG, and showing it changes nothing")
    func steps() async throws {
        let golden = Golden.all[0]
        let request = try golden.request()
        var files: [[UInt8]] = []
        let pipeline = try await golden.pipeline()
        let picture = try pipeline.render(request) { files.append(try $0.thumbnail()) }
        #expect(files.count == request.steps && Set(files).count == files.count)
        for file in files {
            #expect(file.count < 16 << 10 && file.starts(with: [0xFF, 0xD8, 0xFF]))
            let image = try ImageDecoder().decode(file, name: "thumbnail")
            #expect(image.width == request.width / 8 && image.height == request.height / 8)
        }
        #expect(try await golden.pipeline().render(request).png == picture.png)
        #expect(pipeline.tally.decodings == 1, "no step decodes")
    }

    @Test("a large picture's thumbnail has a longer side of 128 pixels")
    func large() async throws {
        let golden = Golden.all[1]
        let pipeline = try await golden.pipeline()
        var request = try golden.request()
        (request.width, request.height) = (1536, 400)
        let tokens = Tensor(
            rows: pipeline.outputGrid(request).count,
            columns: 4 * pipeline.model.autoencoder.configuration.latentChannels
        )
        let file = try pipeline.thumbnail(tokens, request)
        let image = try ImageDecoder().decode(file, name: "thumbnail")
        #expect(image.width == 128 && image.height == 33)
    }
}
