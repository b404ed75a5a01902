import Diffusion
import Foundation
import Testing

/// Broken files give one line that names the file and what to do.
@Suite struct TokenizerErrorTests {
    private static func description(
        of folder: String,
        after change: (URL) throws -> Void
    ) throws -> String? {
        try TokenizerFixtures.withCopy(of: folder, change) { copy in
            do throws(TokenizerError) {
                if folder == "t5" {
                    _ = try T5Tokenizer(directory: copy)
                } else {
                    _ = try CLIPTokenizer(directory: copy)
                }
                return nil
            } catch {
                return error.description
            }
        }
    }

    @Test(
        "a missing file is named",
        arguments: [
            ("t5", "spiece.model"), ("t5", "tokenizer_config.json"), ("clip", "vocab.json"),
            ("clip", "merges.txt"), ("clip", "tokenizer_config.json"),
        ]
    )
    func missing(folder: String, file: String) throws {
        let text = try Self.description(of: folder) { copy in
            try FileManager.default.removeItem(at: copy.appending(path: file))
        }
        let line = try #require(text)
        #expect(line.contains("/\(file): no such file; copy it from"))
        #expect(!line.contains("\n"))
    }

    @Test(
        "a file with other content is named with its fault",
        arguments: [
            ("t5", "tokenizer_config.json", "{", "is not the JSON of a tokenizer"),
            (
                "t5", "tokenizer_config.json", #"{"tokenizer_class": "LlamaTokenizer"}"#,
                "\"LlamaTokenizer\" is not supported; use a model whose tokenizer is one of T5"
            ),
            ("t5", "tokenizer_config.json", "{}", "tokenizer_class \"\" is not supported"),
            (
                "t5", "tokenizer_config.json",
                #"{"tokenizer_class": "T5Tokenizer", "extra_ids": -1}"#,
                "extra_ids -1 is not in 0...10000"
            ),
            (
                "t5", "tokenizer_config.json",
                #"{"tokenizer_class": "T5Tokenizer", "model_max_length": 0.5}"#,
                "model_max_length 0.5 is not a whole number"
            ),
            (
                "t5", "tokenizer_config.json",
                #"{"tokenizer_class": "T5Tokenizer", "model_max_length": "x"}"#,
                "key \"model_max_length\" is not a"
            ),
            (
                "t5", "tokenizer_config.json",
                #"{"tokenizer_class": "T5Tokenizer", "eos_token": "<end>"}"#,
                "spiece.model: has no piece \"<end>\""
            ),
            ("t5", "spiece.model", "not a model", "spiece.model: is not a SentencePiece model"),
            ("t5", "spiece.model", "", "spiece.model: is not a SentencePiece model"),
            ("clip", "vocab.json", "[1, 2]", "vocab.json: "),
            ("clip", "vocab.json", #"{"a": 1}"#, "vocab.json: has no token \"<|startoftext|>\""),
            ("clip", "merges.txt", "#version\na b\nc\n", "merges.txt: line 3 is not a pair"),
            (
                "clip", "tokenizer_config.json", #"{"tokenizer_class": "T5Tokenizer"}"#,
                "\"T5Tokenizer\" is not supported; use a model whose tokenizer is one of CLIP"
            ),
        ]
    )
    func invalid(folder: String, file: String, content: String, fault: String) throws {
        let text = try Self.description(of: folder) { try $0.write(content, to: file) }
        let line = try #require(text)
        #expect(line.contains(fault))
        #expect(!line.contains("\n"))
    }

    @Test("a model cut anywhere is an error", arguments: [1, 4, 100, 5_000, 8_000, 100_000])
    func truncated(count: Int) throws {
        let text = try Self.description(of: "t5") { copy in
            let url = copy.appending(path: "spiece.model")
            try Data(contentsOf: url).prefix(count).write(to: url)
        }
        #expect(try #require(text).contains("spiece.model: is not a SentencePiece model"))
    }
}
