import Imaging
import Testing

@Suite struct PNGEncoderTests {
    private func noise(width: Int, height: Int) -> PixelImage {
        var generator = SeededGenerator(state: UInt64(width))
        let pixels = (0..<3 * width * height).map { _ in
            UInt8.random(in: .min ... .max, using: &generator)
        }
        return PixelImage(width: width, height: height, pixels: pixels)
    }

    @Test("what is written reads back the same", arguments: [(1, 1), (7, 3), (64, 65), (513, 2)])
    func roundTrip(_ width: Int, _ height: Int) throws {
        let image = noise(width: width, height: height)
        let bytes = try PNGEncoder.encode(image)
        #expect(try ImageDecoder().decode(bytes, name: "it") == image)
    }

    @Test("texts read back the same, in order")
    func texts() throws {
        let texts = [
            PNGText(keyword: "dreamfarm", text: "{\"seed\": 7,\n \"steps\": 12}"),
            PNGText(keyword: "Prompt", text: "grüße, 猫 [ref#1] \u{1F600}"),
            PNGText(keyword: "dreamfarm", text: ""),
            PNGText(keyword: "Long", text: String(repeating: "prompt ", count: 20000)),
        ]
        let image = noise(width: 5, height: 4)
        let bytes = try PNGEncoder.encode(image, texts: texts)
        #expect(try PNGText.read(bytes, name: "it") == texts)
        #expect(try ImageDecoder().decode(bytes, name: "it") == image)
        #expect(try PNGEncoder.encode(image, texts: texts) == bytes)
    }

    @Test("a file holds its chunks only, and no time")
    func chunks() throws {
        let texts = [PNGText(keyword: "a", text: "b"), PNGText(keyword: "c", text: "é")]
        let bytes = try PNGEncoder.encode(noise(width: 3, height: 3), texts: texts)
        var kinds: [String] = []
        var at = 8
        while at + 8 <= bytes.count {
            kinds.append(String(decoding: bytes[at + 4..<at + 8], as: UTF8.self))
            at += 12 + bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
        }
        #expect(kinds == ["IHDR", "tEXt", "iTXt", "IDAT", "IEND"])
    }

    @Test("a smooth picture is packed well")
    func compresses() throws {
        var pixels: [UInt8] = []
        for y in 0..<256 {
            for x in 0..<256 {
                pixels += [UInt8(x), UInt8(y), UInt8((x + y) / 2)]
            }
        }
        let bytes = try PNGEncoder.encode(PixelImage(width: 256, height: 256, pixels: pixels))
        #expect(bytes.count < pixels.count / 40)
    }

    @Test(
        "a text that PNG cannot carry is refused",
        arguments: [
            ("", "x"), (String(repeating: "k", count: 80), "x"), ("kéy", "x"), (" key", "x"),
            ("key ", "x"), ("a  b", "x"), ("a\nb", "x"), ("key", "a\0b"),
        ]
    )
    func refusesTexts(_ keyword: String, _ text: String) throws {
        let error = try #require(throws: ImageError.self) {
            try PNGEncoder.encode(
                PixelImage(width: 1, height: 1, level: 0),
                texts: [PNGText(keyword: keyword, text: text)]
            )
        }
        #expect(caseName(error) == "invalidText")
    }

    @Test("texts of other programs are read, a bomb is left out")
    func foreignTexts() throws {
        let texts = try PNGText.read(Fixtures.bytes("texts.png"), name: "texts.png")
        #expect(
            texts == [
                PNGText(keyword: "Title", text: "café"),
                PNGText(keyword: "Packed", text: String(repeating: "x", count: 99)),
                PNGText(keyword: "Comment", text: "grüße 猫"),
            ]
        )
    }

    @Test("texts of a bad file are refused")
    func refusesFiles() throws {
        #expect(throws: ImageError.unknownFormat(name: "lossy.webp")) {
            try PNGText.read(Fixtures.bytes("lossy.webp"), name: "lossy.webp")
        }
        let name = "cut-after-signature.png"
        #expect(throws: ImageError.truncated(name: name, format: .png)) {
            try PNGText.read(Fixtures.bytes(name), name: name)
        }
    }
}
