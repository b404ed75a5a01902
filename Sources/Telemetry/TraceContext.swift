package import Logging
package import Tracing

/// Where in a trace something happens, as W3C's Trace Context writes it.
package struct TraceContext: Sendable, Hashable {
    /// The trace, 32 hexadecimal digits.
    package let traceID: String
    /// The span, 16 hexadecimal digits.
    package let spanID: String
    /// Whether the spans of the trace are kept.
    package let isSampled: Bool
    /// What others have noted of the trace, a `tracestate`, which is handed on as it is.
    package let state: String?

    /// How many bytes a `tracestate` that is handed on has at most.
    private static let longestState = 512

    package init(traceID: String, spanID: String, isSampled: Bool, state: String? = nil) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
        self.state = state
    }

    /// Reads a `traceparent`, or returns nil for text that is none.
    ///
    /// A version to come may have more behind what is known. A `tracestate` that is none, or too long, is
    /// let go.
    ///
    /// - Parameters:
    ///   - text: The `traceparent`, nil for none.
    ///   - state: The `tracestate` beside it.
    package init?(traceparent text: String?, tracestate state: String? = nil) {
        guard let text else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, Self.isHex(parts[0], 2), parts[0] != "ff",
            parts[0] != "00" || parts.count == 4,
            Self.isHex(parts[1], 32), Self.isHex(parts[2], 16), Self.isHex(parts[3], 2),
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" }),
            let flags = UInt8(parts[3], radix: 16)
        else { return nil }
        traceID = String(parts[1])
        spanID = String(parts[2])
        isSampled = flags & 1 == 1
        self.state = state.flatMap { state in
            let isPlain = state.utf8.allSatisfy { (0x20...0x7e).contains($0) }
            return isPlain && (1...Self.longestState).contains(state.utf8.count) ? state : nil
        }
    }

    /// A place in a trace of its own.
    package static func root(isSampled: Bool) -> TraceContext {
        TraceContext(
            traceID: randomDigits(32),
            spanID: randomDigits(16),
            isSampled: isSampled
        )
    }

    /// As a `traceparent`.
    package var traceparent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

    /// Where the running task is; nil in no trace.
    package static var current: TraceContext? { InstrumentationContext.current?.trace }

    /// Another span of the same trace.
    func next() -> TraceContext {
        TraceContext(
            traceID: traceID,
            spanID: Self.randomDigits(16),
            isSampled: isSampled,
            state: state
        )
    }

    private static func isHex(_ text: Substring, _ length: Int) -> Bool {
        text.utf8.count == length
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"):
                    true
                default: false
                }
            }
    }

    /// Hexadecimal digits, drawn; never all of them zero.
    static func randomDigits(_ count: Int) -> String {
        let digits = Array("0123456789abcdef")
        while true {
            let text = String((0..<count).map { _ in digits[Int.random(in: 0..<16)] })
            if text.contains(where: { $0 != "0" }) { return text }
        }
    }
}

private enum TraceContextKey: InstrumentationContextKey {
    typealias Value = TraceContext
    static var nameOverride: String? { "trace" }
}

extension InstrumentationContext {
    /// Where in a trace it is.
    package var trace: TraceContext? {
        get { self[TraceContextKey.self] }
        set { self[TraceContextKey.self] = newValue }
    }

    /// The context of a place in a trace; of none where there is none.
    package static func of(_ trace: TraceContext?) -> InstrumentationContext {
        var context = InstrumentationContext.topLevel
        context.trace = trace
        return context
    }
}

extension Logger.MetadataProvider {
    /// The ids of the trace and span in which a line is logged.
    package static let trace = Logger.MetadataProvider {
        guard let trace = TraceContext.current else { return [:] }
        return ["trace_id": "\(trace.traceID)", "span_id": "\(trace.spanID)"]
    }
}

extension TraceContext {
    /// The same place, in a trace whose spans are kept.
    package var kept: TraceContext {
        TraceContext(traceID: traceID, spanID: spanID, isSampled: true, state: state)
    }

    /// Does something at a place in a trace.
    package static func within<Result>(
        _ place: TraceContext?,
        _ body: () async throws -> Result
    ) async rethrows -> Result {
        try await InstrumentationContext.$current.withValue(.of(place)) { try await body() }
    }

    /// What a request is sent with, so that its server goes on with the trace.
    package static var headers: [(name: String, value: String)] {
        guard let current else { return [] }
        let state = current.state.map { [(name: "tracestate", value: $0)] } ?? []
        return [(name: "traceparent", value: current.traceparent)] + state
    }
}
