import Foundation
import Logging
import TestSupport
import Testing
import Tracing

@testable import Telemetry

@Suite(.timeLimit(.minutes(10))) struct OTLPExporterTests {
    private func exporter(
        _ address: String,
        _ change: (inout OTLPExporter.Pace) -> Void = { _ in }
    ) throws -> OTLPExporter {
        let values = ["otlp-endpoint": address, "otlp-headers": "authorization=Bearer%20t"]
        var pace = OTLPExporter.Pace()
        pace.interval = .milliseconds(10)
        pace.firstDelay = .milliseconds(10)
        pace.largestDelay = .milliseconds(20)
        change(&pace)
        return OTLPExporter(
            try #require(try TraceSettings { values[$0] }),
            of: TraceResource([("service.name", "test")]),
            pace: pace,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// Runs an exporter while `body` runs; what it has left is flushed then.
    private func running(_ exporter: OTLPExporter, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await exporter.run() }
            try await body()
            group.cancelAll()
        }
    }

    private func wait(until condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    @Test("a span comes to the collector as it was, its text and numbers too")
    func form() async throws {
        try await TraceCollector.serve { collector in
            let exporter = try exporter(collector.address)
            try await running(exporter) {
                let outer = exporter.tracer.span("outer", in: nil, .server)
                let inner = exporter.tracer.span(
                    "inner \"quoted\"\n",
                    in: outer.context.trace,
                    .client,
                    at: Timestamp(nanoseconds: 1_700_000_000_000_000_001),
                    ["text": "a\u{1}b", "count": 7, "share": 0.5, "is": true]
                )
                inner.end(at: Timestamp(nanoseconds: 1_700_000_000_000_000_009))
                outer.fail("it broke")
                try await wait { exporter.counts.exported == 2 }
            }
            let spans = try collector.spans()
            let inner = try #require(spans.first { $0.name == "inner \"quoted\"\n" })
            let outer = try #require(spans.first { $0.name == "outer" })
            #expect(inner.trace == outer.trace && inner.parent == outer.id && outer.parent == nil)
            #expect(inner.kind == 3 && outer.kind == 2)
            #expect(inner.start == 1_700_000_000_000_000_001)
            #expect(inner.end == 1_700_000_000_000_000_009)
            #expect(
                inner.attributes == ["text": "a\u{1}b", "count": "7", "share": "0.5", "is": "true"]
            )
            #expect(inner.status == 0 && outer.status == 2)
            #expect(outer.resource == ["service.name": "test"])
            let request = try #require(collector.requests.first)
            #expect(request.path == "/v1/traces" && request.type == "application/json")
            #expect(request.authorization == "Bearer t")
        }
    }

    @Test("a collector that is busy is asked again, not before it says, and nothing is lost")
    func retries() async throws {
        let answers =
            [503, 429, 502, 504].map { TraceCollector.Answer($0) }
            + [TraceCollector.Answer(503, retryAfter: 1)]
        try await TraceCollector.serve(answering: answers) { collector in
            let exporter = try exporter(collector.address)
            try await running(exporter) {
                exporter.tracer.span("x", in: nil).end()
                try await wait { exporter.counts.exported == 1 }
            }
            let requests = collector.requests
            #expect(requests.count == 6)
            #expect(requests[5].at - requests[4].at >= .seconds(1))
            #expect(exporter.counts.dropped == 0)
            #expect(try collector.spans().map(\.name) == ["x"])
        }
    }

    @Test("what is refused for good, or in part, is lost and counted")
    func refusals() async throws {
        let partly = #"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too long"}}"#
        let answers = [TraceCollector.Answer(400), TraceCollector.Answer(body: partly)]
        try await TraceCollector.serve(answering: answers) { collector in
            let exporter = try exporter(collector.address) { $0.batch = 3 }
            try await running(exporter) {
                for _ in 0..<3 { exporter.tracer.span("a", in: nil).end() }
                try await wait { exporter.counts.dropped == 3 }
                for _ in 0..<3 { exporter.tracer.span("b", in: nil).end() }
                try await wait { exporter.counts == (2, 4) }
            }
            #expect(collector.requests.count == 2)
        }
    }

    @Test("a collector that is away costs spans and nothing else")
    func away() async throws {
        // Port 1 of this machine is nobody's.
        let exporter = try exporter("http://127.0.0.1:1") {
            $0.tries = 2
            $0.batch = 4
            $0.capacity = 10
        }
        for _ in 0..<25 { exporter.tracer.span("x", in: nil).end() }
        #expect(exporter.counts == (0, 15))
        try await running(exporter) { try await wait { exporter.counts.dropped == 25 } }
        #expect(exporter.counts == (0, 25))
    }

    @Test(
        "while a collector takes its time, spans end at once and those beyond the room are counted"
    )
    func slow() async throws {
        let slow = TraceCollector.Answer(delay: .seconds(3600))
        try await TraceCollector.serve(answering: [slow, slow, slow]) { collector in
            let exporter = try exporter(collector.address) {
                $0.capacity = 10
                $0.batch = 10
                $0.grace = .milliseconds(50)
                $0.timeout = .seconds(3600)
            }
            try await running(exporter) {
                exporter.tracer.span("first", in: nil).end()
                try await wait { collector.requests.count == 1 }
                // The collector answers in an hour.
                for _ in 0..<1000 { exporter.tracer.span("x", in: nil).end() }
                #expect(exporter.counts == (0, 990))
            }
            // The end waits no longer than it may.
            #expect(exporter.counts == (0, 1001))
        }
    }

    @Test("what is left when the program ends is sent")
    func flush() async throws {
        try await TraceCollector.serve { collector in
            let exporter = try exporter(collector.address) { $0.interval = .seconds(3600) }
            try await running(exporter) {
                for _ in 0..<1000 { exporter.tracer.span("x", in: nil).end() }
            }
            #expect(exporter.counts == (1000, 0))
            #expect(try collector.spans().count == 1000)
        }
    }

    @Test(
        "a trace that comes from outside is sampled as it says, one that begins here by the share"
    )
    func sampling() async throws {
        func tracer(_ share: Double) -> (FarmTracer, SpanQueue) {
            let queue = SpanQueue(capacity: 10_000)
            return (FarmTracer(to: queue, sampling: share), queue)
        }
        let (all, none, some) = (tracer(1), tracer(0), tracer(0.5))
        for isSampled in [true, false] {
            let outer = TraceContext.root(isSampled: isSampled)
            for (tracer, queue) in [all, none, some] {
                let span = tracer.span("x", in: outer)
                span.end()
                #expect(span.context.trace?.traceID == outer.traceID)
                #expect(span.context.trace?.isSampled == isSampled)
                #expect(queue.take(10).count == (isSampled ? 1 : 0))
            }
        }
        for (tracer, _) in [all, none, some] {
            for _ in 0..<2000 { tracer.span("x", in: nil).end() }
        }
        #expect(all.1.take(10_000).count == 2000)
        #expect(none.1.take(10_000).isEmpty)
        #expect((700...1300).contains(some.1.take(10_000).count))
    }

    @Test("where nothing is exported, what comes from outside is handed on as it is")
    func off() {
        let outer = TraceContext.root(isSampled: true)
        let span = FarmTracer.off.span("x", in: outer)
        #expect(span.context.trace == outer && !span.isRecording)
        span.end()
        #expect(FarmTracer.off.span("x", in: nil).context.trace == nil)
    }

    @Test("a text that is too long is cut, wherever it stands in a span")
    func longTexts() throws {
        let queue = SpanQueue(capacity: 1)
        let text = String(repeating: "e\u{301}", count: 5000)
        let span = FarmTracer(to: queue, sampling: 1)
            .span(text, in: nil, .internal, ["text": "\(text)"])
        span.addEvent(SpanEvent(name: "event", attributes: ["text": "\(text)"]))
        span.fail(text)
        let finished = try #require(queue.take(1).first)
        let cut = String(text.unicodeScalars.prefix(1024))
        #expect(finished.name == cut && finished.status?.message == cut)
        for attributes in [finished.attributes, finished.events[0].attributes] {
            #expect(attributes.get("text") == .string(cut))
        }
    }

    @Test("what fails within a span is told in it")
    func failure() throws {
        struct Mishap: Error {}
        let queue = SpanQueue(capacity: 1)
        let tracer = FarmTracer(to: queue, sampling: 1)
        #expect(throws: Mishap.self) { try tracer.withSpan("x") { _ in throw Mishap() } }
        let finished = try #require(queue.take(1).first)
        #expect(finished.status?.code == .error && finished.events.map(\.name) == ["exception"])
    }

    @Test("a line of the log has the ids of the span in which it is logged")
    func log() async throws {
        let place = TraceContext.root(isSampled: true)
        let metadata = await TraceContext.within(place) { Logger.MetadataProvider.trace.get() }
        #expect(metadata == ["trace_id": "\(place.traceID)", "span_id": "\(place.spanID)"])
        #expect(Logger.MetadataProvider.trace.get().isEmpty)
    }
}
