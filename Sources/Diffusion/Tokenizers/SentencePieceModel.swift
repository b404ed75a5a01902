import CSentencePiece
import FoundationEssentials

/// A SentencePiece model loaded by the library.
struct SentencePieceModel: ~Copyable {
    private let model: OpaquePointer

    /// Loads and checks the model at `url`.
    init(contentsOf url: URL) throws(TokenizerError) {
        var loaded: OpaquePointer?
        var message = [CChar](repeating: 0, count: 512)
        let code = sentencepiece_load(&loaded, &message, url.path, message.count)
        guard code == 0, let loaded else {
            let bytes = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            let reason = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? ""
            throw .invalidFile(
                path: url.path,
                reason: "is not a SentencePiece model (code \(code)\(reason.isEmpty ? "" : ", ")"
                    + "\(reason))"
            )
        }
        model = loaded
    }

    deinit {
        sentencepiece_free(model)
    }

    /// Count of pieces.
    var count: Int { Int(sentencepiece_size(model)) }

    /// The id of the unknown piece.
    var unknownID: Int { Int(sentencepiece_unknown_id(model)) }

    /// Returns the UTF-8 bytes of a piece; `id` is in 0 ..< `count`.
    func piece(_ id: Int) -> [UInt8] {
        var length = 0
        guard let bytes = sentencepiece_piece(&length, model, Int32(id)) else {
            return []
        }
        // The library owns the bytes; they are copied before it can free them.
        let buffer = UnsafeRawBufferPointer(start: bytes, count: length)
        return [UInt8](buffer)
    }

    /// Returns a piece's log probability; `id` is in 0 ..< `count`.
    func score(_ id: Int) -> Float {
        sentencepiece_score(model, Int32(id))
    }

    /// Returns the id of a piece, or nil when the model has none of that text.
    func id(of piece: String) -> Int? {
        let id = Int(sentencepiece_piece_id(model, piece, piece.utf8.count))
        return self.piece(id) == Array(piece.utf8) ? id : nil
    }

    /// Returns the ids that the library itself gives a text, without `</s>`, or nil on an error.
    ///
    /// The reference normalizes and splits otherwise (see ``T5Tokenizer``): on plain prompts both
    /// agree, which the tests use as a check of the search.
    func libraryEncoding(of text: String) -> [Int]? {
        var ids = [Int32](repeating: 0, count: text.utf8.count * 4 + 16)
        var count = 0
        let code = sentencepiece_encode(&ids, &count, model, text, text.utf8.count, ids.count)
        return code == 0 && count <= ids.count ? ids.prefix(count).map(Int.init) : nil
    }
}
