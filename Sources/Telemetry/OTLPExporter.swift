import FoundationEssentials
import HTTPTransport
package import Logging
import Synchronization
import Tracing

/// Sends spans to a collector, over HTTP, in batches, while the program does its work.
///
/// A collector that is away, or slow, costs spans and nothing else: they wait up to a number, and beyond that
/// they are lost and counted. What is refused for good is not sent again.
package final class OTLPExporter: Sendable {
    /// How the exporter waits; shorter in tests.
    package struct Pace: Sendable {
        /// How many spans wait at most.
        package var capacity = 8192
        /// How many spans one request has at most.
        package var batch = 512
        /// How long spans wait for others.
        package var interval: Duration = .seconds(2)
        /// How long a collector may take.
        package var timeout: Duration = .seconds(10)
        /// How often a batch is tried.
        package var tries = 6
        /// The wait before the second try; it doubles with each, up to the largest.
        package var firstDelay: Duration = .seconds(1)
        package var largestDelay: Duration = .seconds(30)
        /// How long the rest may take when the program ends.
        package var grace: Duration = .seconds(5)

        package init() {}
    }

    /// What begins the spans that are exported.
    package let tracer: FarmTracer

    private let queue: SpanQueue
    private let settings: TraceSettings
    private let resource: TraceResource
    private let pace: Pace
    private let client: HTTPClient
    private let logger: Logger
    /// Whether the last batch was lost: of an outage there is one line, and one of its end.
    private let isFailing = Mutex(false)

    /// An exporter to the collector of the settings.
    package init(
        _ settings: TraceSettings,
        of resource: TraceResource,
        pace: Pace = Pace(),
        logger: Logger
    ) {
        self.settings = settings
        self.resource = resource
        self.pace = pace
        self.logger = logger
        client = HTTPClient()
        queue = SpanQueue(capacity: pace.capacity)
        tracer = FarmTracer(to: queue, sampling: settings.share)
    }

    /// How many spans a collector has taken, and how many were lost.
    package var counts: (exported: Int, dropped: Int) { queue.counts }

    /// Exports until the task is cancelled, then what is left.
    package func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: pace.interval)
            while !Task.isCancelled, case let batch = queue.take(pace.batch), !batch.isEmpty {
                await export(batch)
            }
        }
        // Shielded from the cancellation that led here, and awaited at once.
        await Task { await flush() }.value
    }

    // MARK: - Sending

    /// What came of a request.
    private enum Outcome {
        /// It was taken; so many of its spans were not.
        case taken(rejected: Int)
        /// It may be taken later, not before so long.
        case later(Duration?, reason: String)
        case refused(reason: String)
    }

    /// Sends a batch, again and again where that may help; a cancellation puts it back.
    private func export(_ batch: [FinishedSpan]) async {
        var delay = pace.firstDelay
        for attempt in 1...pace.tries {
            let outcome = await send(batch, within: pace.timeout)
            guard !Task.isCancelled else { return queue.putBack(batch) }
            guard case .later(let asked, let reason) = outcome else {
                return conclude(batch, outcome)
            }
            guard attempt < pace.tries else { return lose(batch, reason) }
            try? await Task.sleep(for: asked ?? delay * Double.random(in: 0.5...1))
            guard !Task.isCancelled else { return queue.putBack(batch) }
            delay = min(delay * 2, pace.largestDelay)
        }
    }

    /// Sends what is left, once, and loses what is not taken in time.
    private func flush() async {
        let end = ContinuousClock.now + pace.grace
        while case let batch = queue.take(pace.batch), !batch.isEmpty {
            let left = end - .now
            guard left > .zero else {
                lose(batch, "the program ended")
                continue
            }
            switch await send(batch, within: min(left, pace.timeout)) {
            case .later(_, let reason): lose(batch, reason)
            case let outcome: conclude(batch, outcome)
            }
        }
    }

    private func conclude(_ batch: [FinishedSpan], _ outcome: Outcome) {
        switch outcome {
        case .taken(let rejected):
            let lost = min(max(0, rejected), batch.count)
            queue.note(exported: batch.count - lost, dropped: lost)
            if noteFailing(false) { logger.notice("Spans are taken again") }
        case .refused(let reason), .later(_, let reason): lose(batch, reason)
        }
    }

    private func lose(_ batch: [FinishedSpan], _ reason: String) {
        queue.note(dropped: batch.count)
        logger.log(
            level: noteFailing(true) ? .debug : .warning,
            "Spans were not taken",
            metadata: ["spans": "\(batch.count)", "error": "\(reason)"]
        )
    }

    /// Notes whether batches are lost, and returns whether they were before.
    private func noteFailing(_ isNow: Bool) -> Bool {
        isFailing.withLock { isFailing in
            defer { isFailing = isNow }
            return isFailing
        }
    }

    private func send(_ batch: [FinishedSpan], within limit: Duration) async -> Outcome {
        let request = HTTPRequest(
            method: "POST",
            url: settings.endpoint,
            headers: [(name: "Content-Type", value: "application/json")] + settings.headers,
            body: .bytes(Data(OTLPText.request(batch, of: resource).utf8)),
            timeout: limit
        )
        let response: HTTPResponse
        do {
            response = try await client.send(request, retry: .never)
        } catch let error as HTTPTransportError {
            let reason = error.naming(settings.shownEndpoint).description
            return error.isUnreachable ? .later(nil, reason: reason) : .refused(reason: reason)
        } catch {
            return .refused(reason: "\(error)")
        }
        if response.isSuccess { return .taken(rejected: Self.rejected(response.body)) }
        let reason = "\(settings.shownEndpoint) answered \(response.status)"
        guard [429, 502, 503, 504].contains(response.status) else {
            return .refused(reason: reason)
        }
        let seconds = response.headers["retry-after"].flatMap { Int($0) }
        return .later(seconds.map { .seconds(min(max(0, $0), 300)) }, reason: reason)
    }

    /// How many spans an answer says were not taken.
    private static func rejected(_ body: Data) -> Int {
        struct Answer: Decodable {
            struct Part: Decodable {
                var rejectedSpans: Count?
            }
            /// A 64-bit number, which the mapping writes as a text and reads as either.
            struct Count: Decodable {
                let number: Int

                init(from decoder: any Decoder) throws {
                    let container = try decoder.singleValueContainer()
                    number =
                        try (try? container.decode(Int.self))
                        ?? Int(container.decode(String.self)) ?? 0
                }
            }
            var partialSuccess: Part?
        }
        let answer = try? JSONDecoder().decode(Answer.self, from: body)
        return answer?.partialSuccess?.rejectedSpans?.number ?? 0
    }
}
