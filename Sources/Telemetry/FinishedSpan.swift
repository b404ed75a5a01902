import Tracing

/// A span that is over, as it is exported.
struct FinishedSpan: Sendable {
    var name: String
    var trace: TraceContext
    /// The span that it is part of; nil for the first of a trace.
    var parent: String?
    var kind: SpanKind
    var start: UInt64
    var end: UInt64
    var attributes: SpanAttributes
    var events: [SpanEvent]
    var links: [SpanLink]
    var status: SpanStatus?

    /// Leaves out what of its texts is beyond a number of characters.
    mutating func shorten(to limit: Int) {
        name = Self.shortened(name, to: limit)
        attributes = Self.shortened(attributes, to: limit)
        for index in events.indices {
            events[index].attributes = Self.shortened(events[index].attributes, to: limit)
        }
        status = status.map { status in
            SpanStatus(
                code: status.code,
                message: status.message.map { Self.shortened($0, to: limit) }
            )
        }
    }

    private static func shortened(_ text: String, to limit: Int) -> String {
        text.utf8.count > limit ? String(text.unicodeScalars.prefix(limit)) : text
    }

    private static func shortened(_ attributes: SpanAttributes, to limit: Int) -> SpanAttributes {
        var short = attributes
        attributes.forEach { name, value in
            if case .string(let text) = value { short[name] = shortened(text, to: limit) }
        }
        return short
    }
}

extension Timestamp: TracerInstant {
    package var nanosecondsSinceEpoch: UInt64 { nanoseconds }
}
