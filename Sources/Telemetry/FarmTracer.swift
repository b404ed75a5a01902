import Synchronization
package import Tracing

/// Begins spans, and lays those that are over and sampled out for the exporter.
///
/// A span has its trace, and whether it is sampled, from what it is part of; the first of a trace is sampled by
/// a share. Where nothing is exported, spans are nothing, and what comes from outside is handed on as it is.
package struct FarmTracer: Tracer {
    /// A tracer that exports nothing.
    package static let off = FarmTracer(to: nil, sampling: 0)

    let queue: SpanQueue?
    private let share: Double

    /// - Parameters:
    ///   - queue: Takes what is over; nil for nothing.
    ///   - share: Which part of the traces that begin here is sampled, 0…1.
    init(to queue: SpanQueue?, sampling share: Double) {
        self.queue = queue
        self.share = share
    }

    /// Whether anything is exported.
    package var isOn: Bool { queue != nil }

    /// Makes it the tracer of the process, which libraries find; to be called once.
    package func bootstrap() { InstrumentationSystem.bootstrap(self) }

    /// How many spans a collector has taken, and how many were lost.
    package var counts: (exported: Int, dropped: Int) { queue?.counts ?? (0, 0) }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> InstrumentationContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> FarmSpan {
        var context = context()
        guard let queue else { return FarmSpan(context) }
        let parent = context.trace
        let trace = parent?.next() ?? .root(isSampled: Double.random(in: 0..<1) < share)
        context.trace = trace
        guard trace.isSampled else { return FarmSpan(context) }
        return FarmSpan(
            context,
            FinishedSpan(
                name: operationName,
                trace: trace,
                parent: parent?.spanID,
                kind: kind,
                start: instant().nanosecondsSinceEpoch,
                end: 0,
                attributes: [:],
                events: [],
                links: []
            ),
            queue
        )
    }

    /// Begins a span of a place in a trace; attributes are made where something is kept of it.
    package func span(
        _ name: String,
        in parent: TraceContext?,
        _ kind: SpanKind = .internal,
        at start: @autoclosure () -> Timestamp = .now(),
        _ attributes: @autoclosure () -> SpanAttributes = [:]
    ) -> FarmSpan {
        let span = startSpan(name, context: .of(parent), ofKind: kind, at: start())
        if span.isRecording { span.attributes = attributes() }
        return span
    }

    /// Nothing: the exporter does so at its end.
    package func forceFlush() {}

    // MARK: - Propagation

    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout InstrumentationContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard
            let trace = TraceContext(
                traceparent: extractor.extract(key: "traceparent", from: carrier),
                tracestate: extractor.extract(key: "tracestate", from: carrier)
            )
        else { return }
        context.trace = trace
    }

    package func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let trace = context.trace else { return }
        injector.inject(trace.traceparent, forKey: "traceparent", into: &carrier)
        if let state = trace.state { injector.inject(state, forKey: "tracestate", into: &carrier) }
    }
}

/// Something that takes time, as part of a trace; nothing is kept of one that is not sampled.
package final class FarmSpan: Tracing.Span {
    /// How many events and links a span has at most; further ones are left out.
    private static let mostParts = 128
    /// How many characters a text of a span has at most: what comes from outside may be long.
    private static let longestText = 1024

    package let context: InstrumentationContext
    private let state: Mutex<FinishedSpan?>
    private let queue: SpanQueue?

    /// A span of which nothing is kept.
    init(_ context: InstrumentationContext) {
        self.context = context
        state = Mutex(nil)
        queue = nil
    }

    init(_ context: InstrumentationContext, _ span: FinishedSpan, _ queue: SpanQueue) {
        self.context = context
        state = Mutex(span)
        self.queue = queue
    }

    package var operationName: String {
        get { state.withLock { $0?.name ?? "" } }
        set { state.withLock { $0?.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { state.withLock { $0?.attributes ?? [:] } }
        set { state.withLock { $0?.attributes = newValue } }
    }

    package var isRecording: Bool { state.withLock { $0 != nil } }

    package func setStatus(_ status: SpanStatus) {
        state.withLock { $0?.status = status }
    }

    package func addEvent(_ event: SpanEvent) {
        state.withLock { span in
            guard let count = span?.events.count, count < Self.mostParts else { return }
            span?.events.append(event)
        }
    }

    package func addLink(_ link: SpanLink) {
        state.withLock { span in
            guard let count = span?.links.count, count < Self.mostParts else { return }
            span?.links.append(link)
        }
    }

    package func recordError<Instant: TracerInstant>(
        _ error: any Error,
        attributes: SpanAttributes,
        at instant: @autoclosure () -> Instant
    ) {
        guard isRecording else { return }
        var all: SpanAttributes = [
            "exception.type": "\(String(reflecting: type(of: error)))",
            "exception.message": "\(error)",
        ]
        all.merge(attributes)
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: all))
    }

    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let ended = state.withLock { span in
            defer { span = nil }
            return span
        }
        guard var ended else { return }
        ended.end = max(ended.start, instant().nanosecondsSinceEpoch)
        ended.shorten(to: Self.longestText)
        queue?.put(ended)
    }

    /// Ends the span as one that failed, for a reason.
    package func fail(_ reason: String) {
        setStatus(SpanStatus(code: .error, message: reason))
        end()
    }
}
