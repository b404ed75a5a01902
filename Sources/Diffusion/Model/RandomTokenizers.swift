/// Small tokenizers in the published file formats, for models that are made and not trained.
///
/// CLIP's has the byte alphabet and a few merges; T5's is a unigram model of the printable ASCII
/// characters and a few words. Both take any text, as unknown pieces where need be.
enum RandomTokenizers {
    private static let words = """
        a the of and in on with from at is to by an it wears holds woman man person girl boy face \
        dog cat toy bottle jacket hat shirt dress shoes bag red blue green white black photo \
        portrait picture painting style same image street beach table city garden light sunset \
        rain snow morning night small large old young generate
        """.split(separator: " ").map(String.init)

    // MARK: - CLIP

    private static let merges = """
        t h, i n, a n, r e, o n, e r, e n, o r, th e</w>, in g</w>, an d</w>, o f</w>, i t, it h</w>, \
        w ith</w>, o t, ot o</w>, p h, ph oto</w>, a r, a t, s t, re d</w>, d o, \
        do g</w>, c at</w>, m an</w>, w o, wo man</w>
        """.split(separator: ", ").map(String.init)

    /// The visible character of each byte, as the byte-level BPE of GPT-2 and CLIP orders them.
    private static let alphabet: [String] = {
        let visible = Array(33...126) + Array(161...172) + Array(174...255)
        let hidden = (0...255).filter { !visible.contains($0) }
        let codes = visible + hidden.indices.map { 256 + $0 }
        return codes.compactMap(Unicode.Scalar.init).map { String(Character($0)) }
    }()

    /// The pieces of CLIP's vocabulary in the order of their ids.
    static let clipVocabulary: [String] = {
        var pieces = alphabet + alphabet.map { $0 + "</w>" }
        for merge in validMerges { pieces.append(merge.replacing(" ", with: "")) }
        return pieces + ["<|startoftext|>", "<|endoftext|>"]
    }()

    /// The merges whose two halves are pieces already.
    private static let validMerges: [String] = {
        var known = Set(alphabet + alphabet.map { $0 + "</w>" })
        return merges.filter { merge in
            let halves = merge.split(separator: " ").map(String.init)
            guard halves.allSatisfy(known.contains) else { return false }
            return known.insert(halves.joined()).inserted
        }
    }()

    /// The files of CLIP's tokenizer by name.
    static func clip(length: Int) -> [(name: String, bytes: [UInt8])] {
        let members = clipVocabulary.enumerated().map { "\(quoted($1)): \($0)" }
        let special =
            "\"bos_token\": \"<|startoftext|>\", \"eos_token\": \"<|endoftext|>\", "
            + "\"unk_token\": \"<|endoftext|>\", \"pad_token\": \"<|endoftext|>\""
        let merges = (["#version: 0.2"] + validMerges).joined(separator: "\n") + "\n"
        return [
            ("vocab.json", Array("{\(members.joined(separator: ", "))}".utf8)),
            ("merges.txt", Array(merges.utf8)),
            ("special_tokens_map.json", Array("{\(special)}".utf8)),
            (
                "tokenizer_config.json",
                Array(
                    "{\"model_max_length\": \(length), \"tokenizer_class\": \"CLIPTokenizer\", \(special)}"
                        .utf8
                )
            ),
        ]
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(escaped)\""
    }

    // MARK: - T5

    private static let t5Pieces: [(piece: String, score: Float, type: UInt64)] = {
        var pieces: [(String, Float, UInt64)] = [
            ("<pad>", 0, control), ("</s>", 0, control), ("<unk>", 0, unknown), ("▁", -3, normal),
        ]
        for (rank, word) in words.enumerated() where word.count > 1 {
            pieces.append(("▁" + word, -4 - Float(rank) / 32, normal))
        }
        for code in UInt8(0x21)...0x7E {
            pieces.append((String(Character(Unicode.Scalar(code))), -8, normal))
        }
        return pieces
    }()

    private static let normal: UInt64 = 1
    private static let unknown: UInt64 = 2
    private static let control: UInt64 = 3
    private static let extraTokens = 100

    /// Rows of T5's table that hold the pieces and `<extra_id_0>`…`<extra_id_99>`, a multiple of
    /// 128 as published.
    static var t5EmbeddingRows: Int { (t5Pieces.count + extraTokens + 127) / 128 * 128 }

    /// The files of T5's tokenizer by name.
    static func t5(length: Int) -> [(name: String, bytes: [UInt8])] {
        let configuration = """
            {"model_max_length": \(length), "tokenizer_class": "T5Tokenizer", "eos_token": "</s>", \
            "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": \(extraTokens), "legacy": true}
            """
        return [
            ("spiece.model", sentencePieceModel),
            ("tokenizer_config.json", Array(configuration.utf8)),
        ]
    }

    /// A `ModelProto` of SentencePiece; field numbers are those of `sentencepiece_model.proto`.
    private static var sentencePieceModel: [UInt8] {
        var model = ProtocolBuffer()
        for (piece, score, type) in t5Pieces {
            var message = ProtocolBuffer()
            message.string(1, piece)
            message.float(2, score)
            message.integer(3, type)
            model.message(1, message)
        }
        var trainer = ProtocolBuffer()
        trainer.integer(3, 1)  // model_type: unigram
        trainer.integer(4, UInt64(t5Pieces.count))
        trainer.integer(40, 2)  // unk_id
        trainer.integer(41, UInt64(bitPattern: -1))  // bos_id: none
        trainer.integer(42, 1)  // eos_id
        trainer.integer(43, 0)  // pad_id
        trainer.string(45, "<unk>")
        trainer.string(47, "</s>")
        trainer.string(48, "<pad>")
        model.message(2, trainer)
        var normalizer = ProtocolBuffer()
        normalizer.string(1, "identity")
        normalizer.integer(3, 1)  // add_dummy_prefix
        normalizer.integer(4, 1)  // remove_extra_whitespaces
        normalizer.integer(5, 1)  // escape_whitespaces
        model.message(3, normalizer)
        return model.bytes
    }
}

/// A message in the wire format of Protocol Buffers.
private struct ProtocolBuffer {
    private(set) var bytes: [UInt8] = []

    mutating func integer(_ field: UInt64, _ value: UInt64) {
        variable(field << 3)
        variable(value)
    }

    mutating func float(_ field: UInt64, _ value: Float) {
        variable(field << 3 | 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func string(_ field: UInt64, _ text: String) {
        block(field, Array(text.utf8))
    }

    mutating func message(_ field: UInt64, _ message: ProtocolBuffer) {
        block(field, message.bytes)
    }

    private mutating func block(_ field: UInt64, _ content: [UInt8]) {
        variable(field << 3 | 2)
        variable(UInt64(content.count))
        bytes.append(contentsOf: content)
    }

    private mutating func variable(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
