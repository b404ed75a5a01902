import Foundation
import Testing

@testable import Diffusion

@Suite struct SentencePieceModelTests {
    private static var url: URL { TokenizerFixtures.url("t5/spiece.model") }

    @Test("pieces, ids and scores agree")
    func pieces() throws {
        let model = try SentencePieceModel(contentsOf: Self.url)
        let (count, unknownID) = (model.count, model.unknownID)
        #expect(count > 150)
        #expect(unknownID == 2)
        let pieces = (0..<count).map { String(decoding: model.piece($0), as: UTF8.self) }
        let ids = pieces.map { model.id(of: $0) }
        #expect(ids == Array(0..<count))
        #expect(pieces.prefix(3) == ["<pad>", "</s>", "<unk>"])
        let scores = [model.score(0), model.score(count - 1)]
        #expect(scores[0] == 0 && scores[1] < -3)
        let none = model.id(of: "no such piece")
        #expect(none == nil)
        let outside = model.piece(-1) + model.piece(count)
        #expect(outside.isEmpty)
    }

    @Test(
        "on plain prompts the search splits as the library does",
        arguments: [
            "a photo of a woman", "portrait of a man, studio light, 85mm",
            "the quick brown fox jumps over the lazy dog", "blurry watermark, glossy (text)",
            "a café in Zürich 漢字 @@ qz",
        ]
    )
    func librarySplits(text: String) throws {
        let model = try SentencePieceModel(contentsOf: Self.url)
        let tokenizer = try T5Tokenizer(directory: TokenizerFixtures.url("t5"))
        let encoded = tokenizer.encode(text, maxLength: 128)
        let encoding = model.libraryEncoding(of: text)
        let library = try #require(encoding)
        #expect(Array(encoded.ids.prefix(encoded.count)) == library + [tokenizer.endID])
    }

    @Test("the settings are read from the file")
    func settings() throws {
        let bytes = try [UInt8](Data(contentsOf: Self.url))
        let settings = try #require(SentencePieceSettings(message: bytes))
        #expect(settings.modelType == 1)
        #expect(settings.addedPieces == [0, 1])
        let map = try #require(CharacterMap(settings.characterMap))
        #expect(map.normalized("ｆｕｌｌ　①\tﬁ") == Array("full 1 fi".utf8))
        #expect(map.normalized("e\u{302}\u{303}x") == Array("êx".utf8))
        #expect(map.normalized("") == [])
    }

    @Test("mutated settings and maps give a result or none, and never a trap")
    func mutations() throws {
        let bytes = try [UInt8](Data(contentsOf: Self.url))
        let whole = try #require(SentencePieceSettings(message: bytes))
        var generator = MersenneTwister(seed: 5)
        var survivors = 0
        for _ in 0..<60 {
            var map = whole.characterMap
            for _ in 0..<64 {
                map[Int(generator.next()) % map.count] = UInt8(generator.next() & 0xff)
            }
            if let map = CharacterMap(map) {
                survivors += map.normalized("e\u{301} ﬁ ① 漢 \u{3000}").isEmpty ? 0 : 1
            }
            var message = Array(bytes.prefix(6_000))
            message[Int(generator.next()) % message.count] = UInt8(generator.next() & 0xff)
            _ = SentencePieceSettings(message: message)
        }
        #expect(survivors > 20)
    }
}
