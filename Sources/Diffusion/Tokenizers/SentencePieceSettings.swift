/// What a SentencePiece model file says beside its pieces.
///
/// The library does not hand these out, so they are read from the file, which is a protobuf message
/// (`sentencepiece_model.proto`): field 1 is a piece, field 2 the trainer's specification, 3 the normalizer's.
struct SentencePieceSettings: Equatable {
    /// 1 for a unigram model, the only kind that T5 uses.
    var modelType = 1
    /// The compiled normalization rules; empty where the model has none.
    var characterMap: [UInt8] = []
    /// Ids of the control and user-defined pieces, which are found in the raw text.
    var addedPieces: [Int] = []

    /// Reads the settings, or returns nil when the bytes are not a well-formed message.
    init?(message: [UInt8]) {
        var fields = ProtobufFields(message[...])
        var count = 0
        while let field = fields.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let piece)):
                guard let type = Self.integer(3, of: piece, default: 1) else {
                    return nil
                }
                if type == 3 || type == 4 {
                    addedPieces.append(count)
                }
                count += 1
            case (2, .bytes(let specification)):
                guard let type = Self.integer(3, of: specification, default: 1) else {
                    return nil
                }
                modelType = Int(truncatingIfNeeded: type)
            case (3, .bytes(let specification)):
                var inner = ProtobufFields(specification)
                while let field = inner.next() {
                    if case (2, .bytes(let value)) = (field.number, field.value) {
                        characterMap = Array(value)
                    }
                }
                guard inner.isWellFormed else {
                    return nil
                }
            default:
                break
            }
        }
        guard fields.isWellFormed else {
            return nil
        }
    }

    /// Returns an integer field, `value` where the message lacks it, or nil when it is not whole.
    private static func integer(
        _ number: UInt64,
        of message: ArraySlice<UInt8>,
        default value: UInt64
    ) -> UInt64? {
        var result = value
        var fields = ProtobufFields(message)
        while let field = fields.next() {
            if field.number == number, case .integer(let value) = field.value {
                result = value
            }
        }
        return fields.isWellFormed ? result : nil
    }
}

/// The fields of one protobuf message, in the order of the bytes.
private struct ProtobufFields {
    enum Value {
        case integer(UInt64)
        case bytes(ArraySlice<UInt8>)
        case fixed
    }

    private var rest: ArraySlice<UInt8>
    /// Whether every field so far was whole.
    private(set) var isWellFormed = true

    init(_ bytes: ArraySlice<UInt8>) {
        rest = bytes
    }

    /// Returns the next field, or nil at the end and at a field that is not whole.
    mutating func next() -> (number: UInt64, value: Value)? {
        guard !rest.isEmpty else {
            return nil
        }
        guard let tag = varint(), let value = value(wireType: tag & 7) else {
            isWellFormed = false
            return nil
        }
        return (tag >> 3, value)
    }

    private mutating func value(wireType: UInt64) -> Value? {
        switch wireType {
        case 0: varint().map(Value.integer)
        case 1: take(8).map { _ in .fixed }
        case 2: varint().flatMap { take($0) }.map(Value.bytes)
        case 5: take(4).map { _ in .fixed }
        default: nil
        }
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else {
                return nil
            }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 {
                return value
            }
        }
        return nil
    }

    private mutating func take(_ count: UInt64) -> ArraySlice<UInt8>? {
        guard count <= UInt64(rest.count) else {
            return nil
        }
        let taken = rest.prefix(Int(count))
        rest = rest.dropFirst(Int(count))
        return taken
    }
}
