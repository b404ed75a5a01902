import FoundationEssentials
import Tracing

/// What spans are of: the program, as attributes of OpenTelemetry's conventions.
package struct TraceResource: Sendable {
    /// As `service.name`.
    package let attributes: [(String, String)]

    package init(_ attributes: [(String, String)]) {
        self.attributes = attributes
    }

    /// This process, as a program of a name.
    ///
    /// - Parameters:
    ///   - name: As `service.name`.
    ///   - version: The program's version.
    ///   - more: What else is known of it.
    /// - Returns: The resource.
    package static func program(
        _ name: String,
        version: String,
        _ more: [(String, String)] = []
    ) -> TraceResource {
        let own = [
            ("service.name", name), ("service.version", version),
            ("service.namespace", "dreamfarm"),
            ("service.instance.id", UUID().uuidString.lowercased()),
            ("host.name", ProcessInfo.processInfo.hostName),
            ("telemetry.sdk.name", "dreamfarm"), ("telemetry.sdk.language", "swift"),
            ("telemetry.sdk.version", version),
        ]
        return TraceResource(own + more)
    }
}

/// Spans as OTLP writes them in JSON: protobuf's mapping, with ids in hexadecimal and 64-bit numbers as
/// texts.
enum OTLPText {
    /// The name of what made the spans.
    private static let scope = "dreamfarm"

    /// A request to take spans.
    static func request(_ spans: [FinishedSpan], of resource: TraceResource) -> String {
        var json = JSONText()
        json.object { json in
            json.key("resourceSpans")
            json.array([spans]) { json, spans in
                json.object { json in
                    json.key("resource")
                    json.object { json in
                        json.key("attributes")
                        json.array(resource.attributes) { json, attribute in
                            json.attribute(attribute.0, .string(attribute.1))
                        }
                    }
                    json.key("scopeSpans")
                    json.array([spans]) { json, spans in
                        json.object { json in
                            json.key("scope")
                            json.object { $0.member("name", scope) }
                            json.key("spans")
                            json.array(spans) { $0.span($1) }
                        }
                    }
                }
            }
        }
        return json.text
    }
}

extension JSONText {
    fileprivate mutating func span(_ span: FinishedSpan) {
        object { json in
            json.member("traceId", span.trace.traceID)
            json.member("spanId", span.trace.spanID)
            if let parent = span.parent { json.member("parentSpanId", parent) }
            if let state = span.trace.state { json.member("traceState", state) }
            json.key("flags")
            json.raw("1")
            json.member("name", span.name)
            json.key("kind")
            json.raw("\(span.kind.number)")
            json.member("startTimeUnixNano", "\(span.start)")
            json.member("endTimeUnixNano", "\(span.end)")
            json.attributes(span.attributes)
            if !span.events.isEmpty {
                json.key("events")
                json.array(span.events) { json, event in
                    json.object { json in
                        json.member("timeUnixNano", "\(event.nanosecondsSinceEpoch)")
                        json.member("name", event.name)
                        json.attributes(event.attributes)
                    }
                }
            }
            let links = span.links.compactMap { link in
                link.context.trace.map { ($0, link.attributes) }
            }
            if !links.isEmpty {
                json.key("links")
                json.array(links) { json, link in
                    json.object { json in
                        json.member("traceId", link.0.traceID)
                        json.member("spanId", link.0.spanID)
                        if let state = link.0.state { json.member("traceState", state) }
                        json.attributes(link.1)
                    }
                }
            }
            json.key("status")
            json.object { json in
                guard let status = span.status else { return }
                json.key("code")
                json.raw(status.code == .error ? "2" : "1")
                if let message = status.message { json.member("message", message) }
            }
        }
    }

    private mutating func attributes(_ attributes: SpanAttributes) {
        guard !attributes.isEmpty else { return }
        var all: [(name: String, value: SpanAttribute)] = []
        func keep(_ name: String, _ value: SpanAttribute) { all.append((name, value)) }
        attributes.forEach(keep)
        key("attributes")
        array(all.sorted { $0.name < $1.name }) { $0.attribute($1.name, $1.value) }
    }

    fileprivate mutating func attribute(_ name: String, _ value: SpanAttribute) {
        object { json in
            json.member("key", name)
            json.key("value")
            json.object { $0.value(value) }
        }
    }

    private mutating func value(_ value: SpanAttribute) {
        switch value {
        case .int32(let number): member("intValue", "\(number)")
        case .int64(let number): member("intValue", "\(number)")
        case .bool(let isOn):
            key("boolValue")
            raw("\(isOn)")
        case .double(let number) where number.isFinite:
            key("doubleValue")
            raw("\(number)")
        case .double(let number):
            member("doubleValue", number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity")
        case .string(let text): member("stringValue", text)
        case .stringConvertible(let value): member("stringValue", "\(value)")
        case .stringArray(let texts): values(texts.map { .string($0) })
        case .int32Array(let numbers): values(numbers.map { .int32($0) })
        case .int64Array(let numbers): values(numbers.map { .int64($0) })
        case .doubleArray(let numbers): values(numbers.map { .double($0) })
        case .boolArray(let values): self.values(values.map { .bool($0) })
        default: member("stringValue", "\(value)")
        }
    }

    private mutating func values(_ values: [SpanAttribute]) {
        key("arrayValue")
        object { json in
            json.key("values")
            json.array(values) { json, value in json.object { $0.value(value) } }
        }
    }
}

extension SpanKind {
    /// As OTLP numbers it.
    fileprivate var number: Int {
        switch self {
        case .internal: 1
        case .server: 2
        case .client: 3
        case .producer: 4
        case .consumer: 5
        }
    }
}
