package import FoundationEssentials

/// The JSON of the farm's wire messages: snake-case keys, sorted, dates in RFC 3339 with
/// milliseconds.
package enum FarmJSON {
    private static let moment = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    /// Reads a moment as RFC 3339 writes it, with or without a fraction of a second, or returns nil
    /// for other text.
    package static func date(_ text: String) -> Date? {
        (try? moment.parse(text)) ?? (try? Date.ISO8601FormatStyle().parse(text))
    }

    /// The bytes of a message.
    package static func encode(_ message: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(date.formatted(Self.moment))
        }
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
        decoder.dateDecodingStrategy = .custom { decoder in
            let text = try decoder.singleValueContainer().decode(String.self)
            guard let date = Self.date(text) else {
                throw DecodingError.dataCorrupted(
                    DecodingError.Context(
                        codingPath: decoder.codingPath,
                        debugDescription: "'\(text)' is not a moment as RFC 3339 writes it"
                    )
                )
            }
            return date
        }
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
