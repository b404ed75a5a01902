import Imaging
import Testing

@Suite struct JPEGEncoderTests {
    private func noise(width: Int, height: Int) -> PixelImage {
        var generator = SeededGenerator(state: UInt64(width))
        let pixels = (0..<3 * width * height).map { _ in
            UInt8.random(in: .min ... .max, using: &generator)
        }
        return PixelImage(width: width, height: height, pixels: pixels)
    }

    /// A slope of each colour, which the format keeps well.
    private func slopes(width: Int, height: Int) -> PixelImage {
        let pixels = (0..<height).flatMap { y in
            (0..<width).flatMap { x in
                [UInt8(x * 255 / width), UInt8(y * 255 / height), UInt8(128)]
            }
        }
        return PixelImage(width: width, height: height, pixels: pixels)
    }

    @Test(
        "a smooth picture reads back nearly the same",
        arguments: [(64, 64), (37, 90), (128, 16)]
    )
    func roundTrip(_ width: Int, _ height: Int) throws {
        let image = slopes(width: width, height: height)
        let bytes = try JPEGEncoder.encode(image, quality: 95)
        let read = try ImageDecoder().decode(bytes, name: "it")
        #expect(read.width == width && read.height == height)
        let errors = zip(read.pixels, image.pixels).map { abs(Int($0) - Int($1)) }
        #expect(errors.reduce(0, +) <= 3 * errors.count)
        #expect(try JPEGEncoder.encode(image, quality: 95) == bytes)
    }

    @Test("the worst pixels have room", arguments: [1, 17, 128])
    func worst(_ side: Int) throws {
        let image = noise(width: side, height: side)
        let sizes = try [1, 50, 100].map { try JPEGEncoder.encode(image, quality: $0).count }
        #expect(sizes.sorted() == sizes)
        let board = PixelImage(
            width: side,
            height: side,
            pixels: (0..<3 * side * side).map { ($0 / 3 + $0 / 3 / side) % 2 == 0 ? 0 : 255 }
        )
        let read = try ImageDecoder().decode(JPEGEncoder.encode(board, quality: 100), name: "it")
        #expect(read.width == side)
    }

    @Test("the quality falls until a file is small enough", arguments: [4 << 10, 8 << 10])
    func limit(_ limit: Int) throws {
        let image = noise(width: 128, height: 128)
        #expect(try JPEGEncoder.encode(image, quality: 80).count > limit)
        let bytes = try JPEGEncoder.encode(image, below: limit)
        #expect(bytes.count < limit)
        #expect(try ImageDecoder().decode(bytes, name: "it").width == 128)
        let smooth = slopes(width: 128, height: 128)
        let best = try JPEGEncoder.encode(smooth, quality: 80)
        #expect(try JPEGEncoder.encode(smooth, below: 16 << 10) == best)
    }

    @Test("a picture that is too wide is refused")
    func tooWide() {
        let wide = PixelImage(width: 65501, height: 1, level: 0)
        #expect(throws: ImageError.unencodable(detail: "a side is over 65500")) {
            try JPEGEncoder.encode(wide, quality: 80)
        }
    }
}
