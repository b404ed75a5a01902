package import FoundationEssentials

/// T5's tokenizer with DreamO's placeholder tokens: a prompt in, ids out.
///
/// Ids equal those of transformers 4.49's `T5TokenizerFast`, converted from `spiece.model`, after
/// `add_tokens` of the ten placeholders. The steps, each as the reference does it:
/// 1. Special tokens (`</s>`, `<pad>`, `<unk>`, `<extra_id_k>`) are found in the raw text.
/// 2. Each text between them is normalized (``CharacterMap``), loses the white space at its end,
///    and has its runs of spaces replaced by one `▁`.
/// 3. Placeholders are found in the *normalized* text, so that full-width ones count.
/// 4. Each text between those gets a `▁` in front unless it begins with one, and is cut before
///    every `▁`.
/// 5. Each word is split by the unigram model, whose vocabulary has the special pieces too.
///
/// The library's own encoding differs in all five: it knows no added tokens, drops leading and
/// repeated spaces, matches normalization rules by the longest prefix, and adds one `▁` a text.
package struct T5Tokenizer: Sendable {
    /// DreamO's added tokens, in the order of their ids.
    package static let placeholders = (1...9).map { "[ref#\($0)]" } + ["[res]"]

    /// The classes whose ids this tokenizer reproduces.
    private static let supportedClasses = ["T5Tokenizer", "T5TokenizerFast"]

    /// Where a word gets a `▁` that the text does not have.
    private enum Prefix {
        case always
        case first
        case never
    }

    /// The greatest count of ids that the model takes; `Int.max` where its files set none.
    package let modelMaxLength: Int
    /// Count of ids of a prompt where a picture does not say: the model's limit, at most FLUX.1's.
    package var usualLength: Int { min(512, modelMaxLength) }
    /// Count of ids: pieces, sentinels (`<extra_id_k>`) and placeholders.
    package let vocabularySize: Int
    /// The id that fills a text up to its length.
    package let paddingID: Int
    /// The id of `</s>`, which ends every text.
    package let endID: Int

    private let firstPlaceholderID: Int
    private let rawTokens: SpecialTokenMatcher
    private let normalizedTokens: SpecialTokenMatcher
    private let characterMap: CharacterMap
    private let vocabulary: UnigramVocabulary
    private let prefix: Prefix

    /// Reads `spiece.model` and `tokenizer_config.json` of a `tokenizer_2` directory.
    ///
    /// A `tokenizer.json` there is not used: the reference converts the model again.
    ///
    /// - Parameters:
    ///   - directory: The tokenizer's directory.
    ///   - hasPlaceholders: Whether DreamO's ten tokens are added, as its adapters need.
    /// - Throws: `TokenizerError` when a file is missing, broken or of another tokenizer.
    package init(directory: URL, hasPlaceholders: Bool = true) throws(TokenizerError) {
        let files = try TokenizerFiles(directory: directory, supported: Self.supportedClasses)
        let url = directory.appending(path: "spiece.model")
        let message = try TokenizerFiles.contents(of: url)
        guard let settings = SentencePieceSettings(message: Array(message)),
            let characterMap = CharacterMap(settings.characterMap)
        else {
            throw .invalidFile(path: url.path, reason: "is not a SentencePiece model")
        }
        guard settings.modelType == 1 else {
            throw .invalidFile(path: url.path, reason: "is not a unigram model, which T5 needs")
        }
        let model = try SentencePieceModel(contentsOf: url)
        let sentinels = files.configuration.extraIDs ?? 100
        guard (0...10_000).contains(sentinels) else {
            throw .invalidFile(
                path: directory.appending(path: "tokenizer_config.json").path,
                reason: "extra_ids \(sentinels) is not in 0...10000"
            )
        }
        self.characterMap = characterMap
        modelMaxLength = try files.modelMaxLength(fallback: .max)
        endID = try Self.id(of: files.names.end, or: "</s>", in: model, url)
        paddingID = try Self.id(of: files.names.padding, or: "<pad>", in: model, url)
        let unknown = try Self.id(of: files.names.unknown, or: "<unk>", in: model, url)

        var pieces = (0..<model.count).map {
            (text: model.piece($0), score: Double(model.score($0)))
        }
        for index in (0..<sentinels).reversed() {
            pieces.append((text: Array("<extra_id_\(index)>".utf8), score: 0))
        }
        vocabulary = UnigramVocabulary(pieces: pieces, unknownID: model.unknownID)
        let special =
            Set(settings.addedPieces + [endID, paddingID, unknown])
            .union(model.count..<pieces.count)
        rawTokens = SpecialTokenMatcher(
            Self.tokens(special, of: pieces.map(\.text), files.configuration)
        )
        firstPlaceholderID = pieces.count
        let added = hasPlaceholders ? Self.placeholders : []
        normalizedTokens = SpecialTokenMatcher(
            added.enumerated().map { .init(text: Array($1.utf8), id: pieces.count + $0) }
        )
        vocabularySize = pieces.count + added.count
        prefix =
            if files.configuration.addsPrefixSpace == false {
                .never
            } else {
                files.configuration.isLegacy == false ? .first : .always
            }
    }

    /// Returns the ids of a text, ended by `</s>` and padded or cut to `maxLength` (at least 1).
    package func encode(_ text: String, maxLength: Int) -> TokenizedText {
        TokenizedText(
            content: ids(of: text),
            prefix: [],
            suffix: [endID],
            padding: paddingID,
            maxLength: maxLength
        )
    }

    /// Returns the ids of a text, with neither `</s>` nor padding.
    private func ids(of text: String) -> [Int] {
        let bytes = Array(text.utf8)
        return rawTokens.parts(of: bytes[...]).flatMap { part in
            switch part {
            case .token(let id): [id]
            case .text(let segment): ids(ofSegment: segment)
            }
        }
    }

    /// Returns the ids of raw text that has no special token.
    private func ids(ofSegment segment: ArraySlice<UInt8>) -> [Int] {
        let normalized = characterMap.normalized(String(decoding: segment, as: UTF8.self))
        let text = normalized[..<SpecialTokenMatcher.trimmedEnd(of: normalized[...])]
        let marked = Self.marked(text)
        var isFirst = segment.startIndex == 0
        return normalizedTokens.parts(of: marked[...]).flatMap { part in
            defer { isFirst = false }
            switch part {
            case .token(let id): return [id]
            case .text(let words): return ids(ofWords: words, isFirst: isFirst)
            }
        }
    }

    /// Returns the ids of normalized text that has no placeholder; its spaces are marks already.
    private func ids(ofWords words: ArraySlice<UInt8>, isFirst: Bool) -> [Int] {
        let isPrefixed = prefix == .always || prefix == .first && isFirst
        let isMarked = words.starts(with: Self.mark)
        let text = isPrefixed && !isMarked ? Self.mark + words : Array(words)
        var ids: [Int] = []
        var start = 0
        while start < text.count {
            let end = Self.nextMark(in: text[start...]) ?? text.count
            ids += vocabulary.ids(of: text[start..<end])
            start = end
        }
        return ids
    }

    /// The bytes of `▁`, which stands for a space.
    private static let mark = Array("▁".utf8)

    /// Returns the text with a mark for each run of spaces.
    private static func marked(_ text: ArraySlice<UInt8>) -> [UInt8] {
        let space = UInt8(ascii: " ")
        var result: [UInt8] = []
        var previous: UInt8?
        for byte in text {
            if byte != space {
                result.append(byte)
            } else if previous != space {
                result += mark
            }
            previous = byte
        }
        return result
    }

    /// Returns the index of the first mark behind the start.
    private static func nextMark(in text: ArraySlice<UInt8>) -> Int? {
        text.indices.dropFirst().first { text[$0...].starts(with: mark) }
    }

    private static func id(
        of token: TokenizerFiles.AddedToken?,
        or fallback: String,
        in model: borrowing SentencePieceModel,
        _ url: URL
    ) throws(TokenizerError) -> Int {
        let piece = token?.content ?? fallback
        guard let id = model.id(of: piece) else {
            throw .invalidFile(path: url.path, reason: "has no piece \"\(piece)\"")
        }
        return id
    }

    /// Returns the special tokens; only those that the configuration lists swallow white space.
    private static func tokens(
        _ ids: Set<Int>,
        of pieces: [[UInt8]],
        _ configuration: TokenizerFiles.Configuration
    ) -> [SpecialTokenMatcher.Token] {
        ids.map { id in
            let listed = configuration.addedTokensDecoder?[String(id)]
            return SpecialTokenMatcher.Token(
                text: pieces[id],
                id: id,
                stripsLeft: listed?.lstrip ?? false,
                stripsRight: listed?.rstrip ?? false
            )
        }
    }
}
