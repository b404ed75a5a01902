import FarmModel
import FoundationEssentials

/// The keys of a message, as the code that reads it asks for them.
struct MessageShape: Equatable {
    /// Keys without which the message is refused.
    var required: Set<String> = []
    /// Keys that may be left out.
    var optional: Set<String> = []

    var keys: Set<String> { required.union(optional) }

    /// Lets a message be decoded from nothing, and notes what it asks for.
    init(of type: any Decodable.Type) throws {
        let notes = MessageNotes()
        _ = try MessageProbe.make(type, notes)
        self = notes.shape
    }

    fileprivate init() {}
}

/// What one message has asked for.
private final class MessageNotes {
    var shape = MessageShape()

    /// Notes a key as the wire has it.
    func note(_ key: any CodingKey, isRequired: Bool) {
        var name = ""
        for character in key.stringValue {
            if character.isUppercase { name += "_" }
            name += character.lowercased()
        }
        if isRequired { shape.required.insert(name) } else { shape.optional.insert(name) }
    }
}

/// A decoder of nothing: it makes up every value that is asked for.
private struct MessageProbe: Decoder {
    struct NoValue: Error {
        let type: String
    }

    /// Texts of which one or another is what a type of its own reads.
    private static let texts = [
        "text", "0b2f9f4e-5a44-4f2c-8b5c-0123456789ab", String(repeating: "0", count: 64),
        "prompt:" + String(repeating: "0", count: 64), "2026-11-23T20:00:00Z",
    ]

    let notes: MessageNotes
    var text = texts[0]
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]

    static func make<Value: Decodable>(_ type: Value.Type, _ notes: MessageNotes) throws -> Value {
        if let value = (Date(timeIntervalSince1970: 0) as Any) as? Value { return value }
        if let value = (Data() as Any) as? Value { return value }
        if let cases = type as? any CaseIterable.Type, let value = first(cases) as? Value {
            return value
        }
        for text in texts {
            if let value = try? Value(from: MessageProbe(notes: notes, text: text)) {
                return value
            }
        }
        throw NoValue(type: "\(type)")
    }

    private static func first<Cases: CaseIterable>(_ type: Cases.Type) -> Any? {
        Array(type.allCases).first
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(KeyedProbe(notes: notes))
    }

    func unkeyedContainer() -> any UnkeyedDecodingContainer { EmptyProbe() }

    func singleValueContainer() -> any SingleValueDecodingContainer { ValueProbe(text: text) }
}

/// Notes the keys that are asked for.
private struct KeyedProbe<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let notes: MessageNotes
    let codingPath: [any CodingKey] = []
    let allKeys: [Key] = []

    // What may be left out is asked for by this first.
    func contains(_ key: Key) -> Bool {
        notes.note(key, isRequired: false)
        return false
    }

    func decodeNil(forKey key: Key) -> Bool { true }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        notes.note(key, isRequired: true)
        return try MessageProbe.make(type, MessageNotes())
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type,
        forKey key: Key
    ) -> KeyedDecodingContainer<Nested> {
        notes.note(key, isRequired: true)
        return KeyedDecodingContainer(KeyedProbe<Nested>(notes: MessageNotes()))
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedDecodingContainer {
        notes.note(key, isRequired: true)
        return EmptyProbe()
    }

    func superDecoder() -> any Decoder { MessageProbe(notes: MessageNotes()) }

    func superDecoder(forKey key: Key) -> any Decoder { superDecoder() }
}

/// A list of nothing.
private struct EmptyProbe: UnkeyedDecodingContainer {
    let codingPath: [any CodingKey] = []
    let count: Int? = 0
    let isAtEnd = true
    let currentIndex = 0

    func decodeNil() -> Bool { true }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        throw MessageProbe.NoValue(type: "\(type)")
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) -> KeyedDecodingContainer<Nested> {
        KeyedDecodingContainer(KeyedProbe<Nested>(notes: MessageNotes()))
    }

    func nestedUnkeyedContainer() -> any UnkeyedDecodingContainer { EmptyProbe() }

    func superDecoder() -> any Decoder { MessageProbe(notes: MessageNotes()) }
}

/// One value of whatever kind.
private struct ValueProbe: SingleValueDecodingContainer {
    let text: String
    let codingPath: [any CodingKey] = []

    func decodeNil() -> Bool { false }
    func decode(_ type: String.Type) -> String { text }
    func decode(_ type: Bool.Type) -> Bool { false }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if let number = type as? any FixedWidthInteger.Type, let one = Self.one(number) as? Value {
            return one
        }
        if let one = (Double(1) as Any) as? Value { return one }
        if let one = (Float(1) as Any) as? Value { return one }
        return try MessageProbe.make(type, MessageNotes())
    }

    private static func one<Number: FixedWidthInteger>(_ type: Number.Type) -> Any { Number(1) }
}
