package import FoundationEssentials

/// The JSON of the farm's wire messages: snake-case keys, sorted, dates in RFC 3339 with
/// milliseconds.
package enum FarmJSON {
    private static let moment = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    /// Reads a moment as RFC 3339 writes it, with or without a fraction of a second, or returns nil
    /// for other text.
    package static func date(_ text: String) -> Date? {
        guard hasCalendarFields(text) else { return nil }
        return (try? moment.parse(text)) ?? (try? Date.ISO8601FormatStyle().parse(text))
    }

    /// Whether a text begins with a day and a time that a calendar has; the parsing itself takes
    /// hour 25 for the next day's second.
    private static func hasCalendarFields(_ text: String) -> Bool {
        let fields = text.prefix(19).split { "-T:".contains($0) }.map { Int($0) ?? -1 }
        guard fields.count == 6 else { return false }
        let (year, month, day) = (fields[0], fields[1], fields[2])
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return false }
        return (0..<24).contains(fields[3]) && (0..<60).contains(fields[4])
            && (0..<60).contains(fields[5])
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
