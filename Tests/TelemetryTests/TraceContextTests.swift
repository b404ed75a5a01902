import Testing

@testable import Telemetry

@Suite struct TraceContextTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let span = "b7ad6b7169203331"

    @Test("a traceparent is read and written again")
    func reading() throws {
        let text = "00-\(Self.trace)-\(Self.span)-01"
        let context = try #require(TraceContext(traceparent: text))
        #expect(context.traceID == Self.trace && context.spanID == Self.span && context.isSampled)
        #expect(context.traceparent == text)
        let other = try #require(TraceContext(traceparent: "00-\(Self.trace)-\(Self.span)-02"))
        #expect(!other.isSampled)
        #expect(other.kept.isSampled && other.kept.traceID == Self.trace)
    }

    @Test("what others have noted is handed on, but not what is none or too long")
    func state() throws {
        let text = "00-\(Self.trace)-\(Self.span)-01"
        func state(_ state: String?) -> String? {
            TraceContext(traceparent: text, tracestate: state)?.state
        }
        #expect(state("a=1,b@c=2") == "a=1,b@c=2")
        #expect(state(String(repeating: "x", count: 512)) != nil)
        for none in [nil, "", "a=\u{7}", "ä=1", String(repeating: "x", count: 513)] {
            #expect(state(none) == nil)
        }
        let place = try #require(TraceContext(traceparent: text, tracestate: "a=1"))
        #expect(place.next().state == "a=1" && place.kept.state == "a=1")
        #expect(TraceContext(traceparent: nil, tracestate: "a=1") == nil)
    }

    @Test("a version to come is read as far as it is known")
    func laterVersion() {
        #expect(TraceContext(traceparent: "01-\(Self.trace)-\(Self.span)-01-more") != nil)
    }

    @Test(
        "what is no traceparent is none",
        arguments: [
            "", "00", "00-\(trace)-\(span)", "ff-\(trace)-\(span)-01",
            "00-\(trace)-\(span)-01-more",
            "00-\(trace.uppercased())-\(span)-01", "00-\(trace)-\(span)-1",
            "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
            "00-\(trace)x-\(span)-01", "00-\(trace)-\(span)-0g", " 00-\(trace)-\(span)-01",
        ]
    )
    func noTraceparent(text: String) {
        #expect(TraceContext(traceparent: text) == nil)
    }

    @Test("a trace that begins has ids of its own")
    func roots() {
        let roots = (0..<100).map { _ in TraceContext.root(isSampled: true) }
        #expect(Set(roots.map(\.traceID)).count == 100)
        for root in roots { #expect(TraceContext(traceparent: root.traceparent) == root) }
    }
}

@Suite struct TraceSettingsTests {
    private func settings(_ values: [String: String]) throws -> TraceSettings? {
        try TraceSettings { values[$0] }
    }

    @Test("without a collector there are no traces")
    func off() throws {
        #expect(try settings([:]) == nil)
        #expect(try settings(["otlp-headers": "a=b", "trace-sample": "0.5"]) == nil)
    }

    @Test(
        "the address of a collector is that of its traces",
        arguments: [
            "http://c:4318", "http://c:4318/", "http://c:4318/v1/traces",
            "http://c:4318/v1/traces/",
        ]
    )
    func endpoint(text: String) throws {
        let settings = try #require(try settings(["otlp-endpoint": text]))
        #expect(settings.endpoint == "http://c:4318/v1/traces")
        #expect(settings.share == 1 && settings.headers.isEmpty)
    }

    @Test("headers stand between commas, what is not plain as percent signs say")
    func headers() throws {
        let settings = try #require(
            try settings([
                "otlp-endpoint": "https://me:sesame@c/otlp", "trace-sample": "10%",
                "otlp-headers": "authorization=Bearer%20a%2Cb, x-tenant=studio",
            ])
        )
        #expect(settings.headers.map(\.name) == ["authorization", "x-tenant"])
        #expect(settings.headers.map(\.value) == ["Bearer a,b", "studio"])
        #expect(settings.share == 0.1)
        #expect(settings.shownEndpoint == "https://c/otlp/v1/traces")
    }

    @Test(
        "what is wrong is told by the setting's name, a secret never",
        arguments: [
            ("otlp-endpoint", "collector:4318"), ("otlp-endpoint", "ftp://c"),
            ("otlp-endpoint", "me:sesame@c"), ("otlp-endpoint", "http://c/?key=value"),
            ("otlp-headers", "sesame"), ("otlp-headers", "a b=sesame"),
            ("otlp-headers", "a=sesame%0a"), ("trace-sample", "2"), ("trace-sample", "some"),
        ]
    )
    func wrong(name: String, text: String) throws {
        let error = try #require(throws: TraceSettingsError.self) { try settings([name: text]) }
        #expect(error.description.hasPrefix("--\(name) must be like "))
        #expect(!error.description.contains("sesame"))
    }
}
