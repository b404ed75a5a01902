import Diffusion
import Foundation
import Testing

@Suite struct CLIPTokenizerTests {
    @Test("ids equal the reference's")
    func ids() throws {
        let golden = try TokenizerFixtures.value(TokenizerFixtures.CLIP.self, "clip.json")
        let tokenizer = try CLIPTokenizer(directory: TokenizerFixtures.url("clip"))
        #expect(tokenizer.modelMaxLength == golden.length)
        #expect(golden.strings.count > 400 && golden.ids.count == golden.strings.count)
        for (text, expected) in zip(golden.strings, golden.ids) {
            let encoded = tokenizer.encode(text)
            let padding = [Int](
                repeating: tokenizer.paddingID,
                count: golden.length - expected.ids.count
            )
            #expect(encoded.ids == expected.ids + padding, "\(text.debugDescription)")
            #expect(encoded.count == expected.ids.count, "\(text.debugDescription)")
            #expect(
                encoded.wasTruncated == (expected.wholeCount > golden.length),
                "\(text.debugDescription)"
            )
        }
    }

    @Test("a long prompt keeps 75 pieces between the begin and end tokens")
    func truncation() throws {
        let tokenizer = try CLIPTokenizer(directory: TokenizerFixtures.url("clip"))
        let long = tokenizer.encode(String(repeating: "the ", count: 100))
        let the = tokenizer.encode("the").ids[1]
        #expect(long.wasTruncated)
        #expect(
            long.ids
                == [tokenizer.beginID] + [Int](repeating: the, count: 75) + [tokenizer.endID]
        )
        #expect(!tokenizer.encode(String(repeating: "the ", count: 75)).wasTruncated)
        #expect(
            tokenizer.encode("the the", maxLength: 3).ids == long.ids.prefix(2) + [long.ids[76]]
        )
    }

    @Test("the special tokens follow the files that name them")
    func specialTokens() throws {
        let tokenizer = try TokenizerFixtures.withCopy(of: "clip") { copy in
            let configuration =
                #"{"tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>"}"#
            try copy.write(configuration, to: "tokenizer_config.json")
            try copy.write(#"{"pad_token": "!"}"#, to: "special_tokens_map.json")
        } _: {
            try CLIPTokenizer(directory: $0)
        }
        #expect(tokenizer.paddingID == 0)
        #expect(tokenizer.encode("a!").ids[2...].allSatisfy { $0 == tokenizer.endID || $0 == 0 })
        #expect(tokenizer.modelMaxLength == 77)
    }
}
