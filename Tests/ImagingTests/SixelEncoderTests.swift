import Testing

@testable import Imaging

/// A terminal's reading of sixels, written from the terminals' manuals alone.
struct SixelScreen {
    private(set) var width = 0
    private(set) var height = 0
    /// Red, green and blue of each pixel; nil where nothing was drawn.
    private(set) var pixels: [[Int]?] = []
    private(set) var colors: [Int: [Int]] = [:]

    init(_ bytes: [UInt8]) throws {
        let text = bytes.map { Character(UnicodeScalar($0)) }
        try #require(text.starts(with: Array("\u{1b}P")) && text.suffix(2) == Array("\u{1b}\\"))
        let start = try #require(text.firstIndex(of: "q")) + 1
        var place = start
        let end = text.count - 2
        func numbers() -> [Int] {
            var digits = ""
            while place < end, text[place].isNumber || text[place] == ";" {
                digits.append(text[place])
                place += 1
            }
            return digits.split(separator: ";").compactMap { Int($0) }
        }
        var (x, top, color) = (0, 0, [0, 0, 0])
        while place < end {
            let character = text[place]
            place += 1
            switch character {
            case "\"":
                let shape = numbers()
                try #require(shape.count == 4 && shape[0] == 1 && shape[1] == 1)
                (width, height) = (shape[2], shape[3])
                pixels = [[Int]?](repeating: nil, count: width * height)
            case "#":
                let values = numbers()
                if values.count == 5 {
                    try #require(values[1] == 2 && values[2...].allSatisfy { (0...100) ~= $0 })
                    colors[values[0]] = values[2...].map { ($0 * 255 + 50) / 100 }
                }
                color = try #require(colors[values[0]])
            case "$": x = 0
            case "-": (x, top) = (0, top + 6)
            default:
                let count = character == "!" ? numbers()[0] : 1
                let sixel = character == "!" ? text[place] : character
                if character == "!" { place += 1 }
                let bits = Int(try #require(sixel.asciiValue)) - 63
                try #require((0...63) ~= bits)
                for _ in 0..<count {
                    for row in 0..<6 where bits >> row & 1 == 1 {
                        try #require(x < width && top + row < height)
                        pixels[(top + row) * width + x] = color
                    }
                    x += 1
                }
            }
        }
    }
}

@Suite("Pictures as sixels") struct SixelEncoderTests {
    private func screen(_ image: PixelImage, colors: Int = 256) throws -> SixelScreen {
        let screen = try SixelScreen(SixelEncoder.encode(image, colors: colors))
        #expect(screen.width == image.width && screen.height == image.height)
        #expect(screen.colors.count <= colors)
        return screen
    }

    @Test(
        "a picture of few colours comes out as it is, in every size",
        arguments: [(1, 1), (1, 6), (5, 7), (17, 12), (300, 13), (8, 5)]
    )
    func exact(width: Int, height: Int) throws {
        let colors: [[UInt8]] = [[0, 0, 0], [255, 51, 0], [0, 102, 204], [255, 255, 255]]
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width { pixels += colors[(x / 5 + y * y) % colors.count] }
        }
        let screen = try screen(PixelImage(width: width, height: height, pixels: pixels))
        let shown = screen.pixels.flatMap { $0 ?? [-1, -1, -1] }
        #expect(shown == pixels.map { Int($0) })
    }

    @Test("a picture of many colours is close to what it was, closer with more colours")
    func many() throws {
        let (width, height) = (96, 64)
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                pixels += [UInt8(x * 255 / width), UInt8(y * 255 / height), UInt8((x * y) % 256)]
            }
        }
        let image = PixelImage(width: width, height: height, pixels: pixels)
        var last = Double.infinity
        for colors in [2, 16, 256] {
            let screen = try screen(image, colors: colors)
            // What the eye sees of dots: the means of squares of 8.
            var difference = 0.0
            for top in stride(from: 0, to: height, by: 8) {
                for left in stride(from: 0, to: width, by: 8) {
                    for channel in 0..<3 {
                        var sum = 0
                        for y in top..<top + 8 {
                            for x in left..<left + 8 {
                                let place = y * width + x
                                let shown = try #require(screen.pixels[place])[channel]
                                sum += shown - Int(pixels[3 * place + channel])
                            }
                        }
                        difference += abs(Double(sum) / 64)
                    }
                }
            }
            let mean = difference / Double(3 * width * height / 64)
            #expect(mean < last, "\(colors) colours: \(mean)")
            last = mean
        }
        #expect(last < 2)
    }
}
