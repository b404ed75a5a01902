import Imaging
import Testing

@Suite struct PictureComparisonTests {
    private let picture = PixelImage(
        width: 5,
        height: 3,
        pixels: (0..<45).map { UInt8($0) }
    )

    private func compare(_ first: [UInt8], _ other: [UInt8]) throws -> PictureComparison {
        try PictureComparison(first, other, names: ("this", "that"))
    }

    private func changed(_ indices: [Int]) -> PixelImage {
        var pixels = picture.pixels
        for index in indices { pixels[index] &+= 1 }
        return PixelImage(width: 5, height: 3, pixels: pixels)
    }

    @Test("equal files, and equal pixels with other texts")
    func equal() throws {
        let file = try PNGEncoder.encode(picture)
        #expect(try compare(file, file) == .sameBytes)
        #expect(try compare([1, 2], [1, 2]) == .sameBytes)
        let told = try PNGEncoder.encode(picture, texts: [PNGText(keyword: "a", text: "b")])
        #expect(try compare(file, told) == .samePixels)
    }

    @Test(
        "the first pixel that differs is named, and how many do",
        arguments: [([44], 4, 2, 1), ([0, 1, 2], 0, 0, 1), ([22, 25], 2, 1, 2)]
    )
    func pixels(_ indices: [Int], _ x: Int, _ y: Int, _ count: Int) throws {
        let other = changed(indices)
        let found = try compare(PNGEncoder.encode(picture), PNGEncoder.encode(other))
        #expect(
            found
                == .otherPixels(
                    count: count,
                    of: 15,
                    x: x,
                    y: y,
                    first: picture[x, y],
                    other: other[x, y]
                )
        )
        #expect(found.description.hasPrefix("\(count) of 15 pixels differ, first at column \(x)"))
    }

    @Test("other sizes are told of, and what is no picture is named")
    func others() throws {
        let turned = PixelImage(width: 3, height: 5, pixels: picture.pixels)
        let found = try compare(PNGEncoder.encode(picture), PNGEncoder.encode(turned))
        #expect(found == .otherSize(width: 5, height: 3, otherWidth: 3, otherHeight: 5))
        #expect(found.description == "the pictures have 5x3 and 3x5 pixels")
        #expect(throws: ImageError.unknownFormat(name: "that")) {
            try compare(PNGEncoder.encode(picture), [1])
        }
    }
}
