import Imaging
import Testing

@Suite struct AreaResamplerTests {
    @Test("a scaled picture equals OpenCV's", arguments: Manifest.committed.resamplings)
    func equalsReference(_ sample: Manifest.Resampling) throws {
        let scaled = AreaResampler.resize(
            sample.original,
            width: sample.width,
            height: sample.height
        )
        // The contract is one level; the order of additions is OpenCV's, so none differs.
        #expect(try largestDifference(scaled, sample.expected) == 0)
    }

    @Test("a flat picture stays flat at any ratio", arguments: [1, 2, 5, 16, 33, 100])
    func keepsFlat(_ side: Int) {
        for level in [0, 1, 127, 254, 255] as [UInt8] {
            let image = PixelImage(width: 33, height: 20, level: level)
            let scaled = AreaResampler.resize(image, width: side, height: 17)
            #expect(scaled == PixelImage(width: side, height: 17, level: level))
        }
    }

    @Test("the same size is the same picture")
    func keepsSize() throws {
        let image = try ImageDecoder().decode(path: Fixtures.path("opaque.png"))
        #expect(AreaResampler.resize(image, width: image.width, height: image.height) == image)
    }

    @Test(
        "DreamO's area rule gives its sizes",
        arguments: [
            // width, height, ref_res, width, height
            (1024, 1024, 512, 512, 512), (1000, 1500, 512, 416, 624), (640, 480, 512, 576, 432),
            (100, 100, 512, 512, 512), (1920, 1080, 512, 672, 384), (4000, 3, 512, 18688, 16),
            (3, 4000, 512, 16, 18688), (17, 31, 64, 32, 80), (1, 1, 16, 16, 16),
        ]
    )
    func areaRule(_ width: Int, _ height: Int, _ refRes: Int, _ toWidth: Int, _ toHeight: Int) {
        let size = AreaResampler.areaSize(width: width, height: height, refRes: refRes)
        #expect(size == (toWidth, toHeight))
        let image = PixelImage(width: width, height: height, level: 9)
        let scaled = AreaResampler.resizeToArea(image, refRes: refRes)
        #expect(scaled == PixelImage(width: toWidth, height: toHeight, level: 9))
    }
}
