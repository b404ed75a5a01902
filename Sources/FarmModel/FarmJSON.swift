package import FoundationEssentials

/// The JSON of the farm's wire messages: snake-case keys, sorted, dates in RFC 3339.
package enum FarmJSON {
    /// The bytes of a message.
    package static func encode(_ message: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(message)
    }

    /// The text of a message.
    package static func text(_ message: some Encodable) throws -> String {
        String(decoding: try encode(message), as: UTF8.self)
    }

    /// The message in `data`; keys that it does not know are ignored.
    package static func decode<Message: Decodable>(
        _ type: Message.Type = Message.self,
        from data: Data
    ) throws -> Message {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(type, from: data)
    }

    /// The message in `text`.
    package static func decode<Message: Decodable>(
        _ type: Message.Type = Message.self,
        from text: String
    ) throws -> Message {
        try decode(type, from: Data(text.utf8))
    }
}
