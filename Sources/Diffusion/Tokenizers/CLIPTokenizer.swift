package import FoundationEssentials

/// CLIP's byte-pair tokenizer: a prompt in, ids out.
///
/// Ids equal those of transformers 4.49's slow `CLIPTokenizer` without ftfy. `<|startoftext|>` and
/// `<|endoftext|>` typed in a prompt are the special tokens.
package struct CLIPTokenizer: Sendable {
    /// The classes whose ids this tokenizer reproduces.
    private static let supportedClasses = ["CLIPTokenizer", "CLIPTokenizerFast"]

    /// The greatest count of ids that the model takes: 77 where its files set none.
    package let modelMaxLength: Int
    /// Count of ids of `vocab.json`: its greatest one and 1.
    package let vocabularySize: Int
    /// The id that fills a text up to its length.
    package let paddingID: Int
    /// The id of `<|startoftext|>`, which begins every text.
    package let beginID: Int
    /// The id of `<|endoftext|>`, which ends every text.
    package let endID: Int

    private let specialTokens: SpecialTokenMatcher
    private let specialIDs: [String: Int]
    private let bytePairs: BytePairVocabulary

    /// Reads `vocab.json`, `merges.txt` and `tokenizer_config.json` of a `tokenizer` directory.
    package init(directory: URL) throws(TokenizerError) {
        let files = try TokenizerFiles(directory: directory, supported: Self.supportedClasses)
        let url = directory.appending(path: "vocab.json")
        let vocabulary = try TokenizerFiles.decode([String: Int].self, at: url)
        if let (token, id) = vocabulary.first(where: { !(0..<1 << 31).contains($1) }) {
            throw .invalidFile(path: url.path, reason: "gives \"\(token)\" the id \(id)")
        }
        var ids: [String: Int] = [:]
        func id(
            _ token: TokenizerFiles.AddedToken?,
            _ fallback: String
        ) throws(TokenizerError) -> Int {
            let text = token?.content ?? fallback
            guard let id = vocabulary[text] else {
                throw .invalidFile(path: url.path, reason: "has no token \"\(text)\"")
            }
            ids[text] = id
            return id
        }
        modelMaxLength = try files.modelMaxLength(fallback: 77)
        vocabularySize = (vocabulary.values.max() ?? -1) + 1
        beginID = try id(files.names.begin, "<|startoftext|>")
        endID = try id(files.names.end, "<|endoftext|>")
        paddingID = try id(files.names.padding, "<|endoftext|>")
        let unknown = try id(files.names.unknown, "<|endoftext|>")
        specialIDs = ids
        specialTokens = SpecialTokenMatcher(ids.map { .init(text: Array($0.utf8), id: $1) })
        bytePairs = try BytePairVocabulary(
            merges: directory.appending(path: "merges.txt"),
            vocabulary: vocabulary,
            unknownID: unknown
        )
    }

    /// Returns the ids of a text between `<|startoftext|>` and `<|endoftext|>`, padded or cut.
    ///
    /// - Parameters:
    ///   - text: The prompt.
    ///   - maxLength: Count of ids, at least 2; ``modelMaxLength`` when left out.
    /// - Returns: The ids, shape (maxLength,).
    package func encode(_ text: String, maxLength: Int? = nil) -> TokenizedText {
        TokenizedText(
            content: ids(of: text),
            prefix: [beginID],
            suffix: [endID],
            padding: paddingID,
            maxLength: maxLength ?? modelMaxLength
        )
    }

    private func ids(of text: String) -> [Int] {
        let bytes = Array(text.utf8)
        return specialTokens.parts(of: bytes[...]).flatMap { part in
            switch part {
            case .token(let id):
                [id]
            case .text(let segment):
                CLIPText.words(of: String(decoding: segment, as: UTF8.self)).flatMap { word in
                    // Lower-casing makes the token of a text that was not one.
                    specialIDs[word].map { [$0] } ?? bytePairs.ids(of: word)
                }
            }
        }
    }
}
