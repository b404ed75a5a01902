import Diffusion
import Foundation
import Testing

@Suite struct T5TokenizerTests {
    private static func tokenizer(hasPlaceholders: Bool = true) throws -> T5Tokenizer {
        try T5Tokenizer(
            directory: TokenizerFixtures.url("t5"),
            hasPlaceholders: hasPlaceholders
        )
    }

    @Test(
        "ids equal the reference's under every configuration",
        arguments: ["plain", "published", "first", "never", "few"]
    )
    func ids(name: String) throws {
        let golden = try TokenizerFixtures.value(TokenizerFixtures.T5.self, "t5.json")
        let variant = try #require(golden.variants.first { $0.name == name })
        let tokenizer = try TokenizerFixtures.withCopy(of: "t5") { copy in
            try copy.write(variant.configuration, to: "tokenizer_config.json")
        } _: {
            try T5Tokenizer(directory: $0, hasPlaceholders: variant.placeholders)
        }
        #expect(tokenizer.vocabularySize == variant.vocabulary)
        #expect(golden.strings.count > 400 && variant.ids.count == golden.strings.count)
        for (text, expected) in zip(golden.strings, variant.ids) {
            let encoded = tokenizer.encode(text, maxLength: golden.length)
            let padding = [Int](repeating: 0, count: golden.length - expected.ids.count)
            #expect(encoded.ids == expected.ids + padding, "\(text.debugDescription)")
            #expect(encoded.count == expected.ids.count, "\(text.debugDescription)")
            #expect(
                encoded.wasTruncated == (expected.wholeCount > golden.length),
                "\(text.debugDescription)"
            )
        }
    }

    @Test("a cut text keeps its end token")
    func truncation() throws {
        let tokenizer = try Self.tokenizer()
        let whole = tokenizer.encode("a photo of a woman", maxLength: 32)
        #expect(!whole.wasTruncated && whole.ids.last == tokenizer.paddingID)
        let cut = tokenizer.encode("a photo of a woman", maxLength: 4)
        #expect(cut.wasTruncated && cut.count == 4)
        #expect(cut.ids == Array(whole.ids.prefix(3)) + [tokenizer.endID])
        #expect(tokenizer.encode("a photo", maxLength: 1).ids == [tokenizer.endID])
        let exact = tokenizer.encode("a photo of a woman", maxLength: whole.count)
        #expect(!exact.wasTruncated && exact.ids == Array(whole.ids.prefix(whole.count)))
    }

    @Test(
        "the placeholders of a prompt are tokens of their own",
        arguments: [
            ("", []), ("a woman", []), ("[ref#2] and [ref#1], [ref#2]", [1, 2]),
            ("[ref#9][res]", [9]), ("[ref#0] [ref#10] [REF#3] [ref#4", []), ("［ref#5］", [5]),
            ("x[ref#3]y </s> [ref#1]", [1, 3]),
        ] as [(String, [Int])]
    )
    func slots(text: String, slots: [Int]) throws {
        let tokenizer = try Self.tokenizer()
        let first = tokenizer.vocabularySize - T5Tokenizer.placeholders.count
        let found = tokenizer.encode(text, maxLength: 64).ids.map { $0 - first + 1 }
        #expect(Set(found).intersection(1...9).sorted() == slots)
    }

    @Test("without placeholders their text is plain text")
    func noPlaceholders() throws {
        let plain = try Self.tokenizer(hasPlaceholders: false)
        let full = try Self.tokenizer()
        #expect(plain.vocabularySize + T5Tokenizer.placeholders.count == full.vocabularySize)
        let first = try #require(full.encode("[ref#1]", maxLength: 8).ids.first)
        #expect(first == plain.vocabularySize)
        #expect(plain.encode("[ref#1]", maxLength: 16).ids.allSatisfy { $0 < first })
    }

    @Test("the greatest length is the configuration's, or none where it is absurd")
    func modelMaxLength() throws {
        #expect(try Self.tokenizer().modelMaxLength == 512)
        for value in ["1000000000000000019884624838656", "null"] {
            let length = try TokenizerFixtures.withCopy(of: "t5") { copy in
                let text = #"{"tokenizer_class": "T5Tokenizer", "model_max_length": \#(value)}"#
                try copy.write(text, to: "tokenizer_config.json")
            } _: {
                try T5Tokenizer(directory: $0).modelMaxLength
            }
            #expect(length == .max)
        }
    }
}
