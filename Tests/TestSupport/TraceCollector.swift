package import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Synchronization

/// A collector of traces on a port of its own, which answers what a test says.
package final class TraceCollector: Sendable {
    /// How a request is answered.
    package struct Answer: Sendable {
        package var status: Int
        package var retryAfter: Int?
        package var body: String
        /// How long it takes.
        package var delay: Duration

        package init(
            _ status: Int = 200,
            retryAfter: Int? = nil,
            body: String = "{}",
            delay: Duration = .zero
        ) {
            self.status = status
            self.retryAfter = retryAfter
            self.body = body
            self.delay = delay
        }
    }

    /// A request as it came.
    package struct Received: Sendable {
        package let at: ContinuousClock.Instant
        package let path: String
        package let type: String?
        package let authorization: String?
        package let body: Data
    }

    private struct State {
        var answers: [Answer] = []
        var requests: [Received] = []
        var taken: [Data] = []
        var address = ""
    }

    private let state = Mutex(State())

    /// Where it listens, as `http://host:port`.
    package var address: String { state.withLock(\.address) }

    private init(answering answers: [Answer]) {
        state.withLock { $0.answers = answers }
    }

    /// Every request that came.
    package var requests: [Received] { state.withLock(\.requests) }

    /// The spans of the requests that were taken, as they were written.
    package func spans() throws -> [CollectedSpan] {
        try state.withLock(\.taken).flatMap { try CollectedSpan.read($0) }
    }

    /// Lends a collector that gives these answers, and takes everything after them.
    package static func serve(
        answering answers: [Answer] = [],
        _ body: @escaping @Sendable (TraceCollector) async throws -> Void
    ) async throws {
        let (addresses, found) = AsyncStream<String>.makeStream()
        let collector = TraceCollector(answering: answers)
        let router = Router()
        router.post("**") { request, _ -> Response in
            let data = Data(try await request.body.collect(upTo: 16 << 20).readableBytesView)
            return await collector.answer(request, data)
        }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in
                found.yield("http://127.0.0.1:\(channel.localAddress?.port ?? 0)")
            },
            logger: logger
        )
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await application.run()
                return false
            }
            group.addTask {
                for await address in addresses {
                    collector.state.withLock { $0.address = address }
                    try await body(collector)
                    break
                }
                return true
            }
            while let isOver = try await group.next(), !isOver {}
            group.cancelAll()
        }
    }

    private func answer(_ request: Request, _ data: Data) async -> Response {
        let answer = state.withLock { state in
            state.requests.append(
                Received(
                    at: .now,
                    path: request.uri.path,
                    type: request.headers[.contentType],
                    authorization: request.headers[.authorization],
                    body: data
                )
            )
            return state.answers.isEmpty ? Answer() : state.answers.removeFirst()
        }
        try? await Task.sleep(for: answer.delay)
        if answer.status == 200 { state.withLock { $0.taken.append(data) } }
        var headers: HTTPFields = [.contentType: "application/json"]
        headers[.retryAfter] = answer.retryAfter.map { "\($0)" }
        return Response(
            status: .init(code: answer.status),
            headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(string: answer.body))
        )
    }
}

/// A span as a collector reads it.
package struct CollectedSpan: Sendable {
    package let name: String
    package let trace: String
    package let id: String
    package let parent: String?
    /// What others have noted of the trace.
    package let state: String?
    package let kind: Int
    package let start: UInt64
    package let end: UInt64
    /// The status's code: 0 unset, 1 well, 2 an error.
    package let status: Int
    /// Texts, and numbers as texts.
    package let attributes: [String: String]
    /// The attributes of the program that made it.
    package let resource: [String: String]

    /// Reads a request as OTLP's protobuf mapping to JSON has it; what is not as it says is an error.
    package static func read(_ data: Data) throws -> [CollectedSpan] {
        let request = try JSONDecoder().decode(TraceRequest.self, from: data)
        return try request.resourceSpans.flatMap { part in
            let resource = try values(part.resource.attributes)
            return try part.scopeSpans.flatMap(\.spans).map { span in
                guard let start = UInt64(span.startTimeUnixNano),
                    let end = UInt64(span.endTimeUnixNano), start <= end,
                    span.traceId.wholeMatch(of: /[0-9a-f]{32}/) != nil,
                    span.spanId.wholeMatch(of: /[0-9a-f]{16}/) != nil,
                    span.parentSpanId.map({ $0.wholeMatch(of: /[0-9a-f]{16}/) != nil }) ?? true,
                    (1...5).contains(span.kind), !span.name.isEmpty
                else { throw NoSpan(text: "\(span)") }
                return CollectedSpan(
                    name: span.name,
                    trace: span.traceId,
                    id: span.spanId,
                    parent: span.parentSpanId,
                    state: span.traceState,
                    kind: span.kind,
                    start: start,
                    end: end,
                    status: span.status?.code ?? 0,
                    attributes: try values(span.attributes ?? []),
                    resource: resource
                )
            }
        }
    }

    private static func values(_ attributes: [TraceRequest.Attribute]) throws -> [String: String] {
        var values: [String: String] = [:]
        for attribute in attributes {
            guard values.updateValue(attribute.value.text, forKey: attribute.key) == nil else {
                throw NoSpan(text: "\(attribute.key) is there twice")
            }
        }
        return values
    }
}

/// What came is no span.
private struct NoSpan: Error {
    let text: String
}

/// A request as the mapping names its fields.
private struct TraceRequest: Decodable {
    struct Part: Decodable {
        var resource: Resource
        var scopeSpans: [Scope]
    }
    struct Resource: Decodable {
        var attributes: [Attribute]
    }
    struct Scope: Decodable {
        var spans: [Span]
    }
    struct Span: Decodable {
        var traceId: String
        var spanId: String
        var parentSpanId: String?
        var traceState: String?
        var name: String
        var kind: Int
        var startTimeUnixNano: String
        var endTimeUnixNano: String
        var attributes: [Attribute]?
        var status: Status?
    }
    struct Status: Decodable {
        var code: Int?
        var message: String?
    }
    struct Attribute: Decodable {
        var key: String
        var value: Value
    }
    struct Value: Decodable {
        var stringValue: String?
        var intValue: String?
        var doubleValue: Double?
        var boolValue: Bool?

        var text: String {
            stringValue ?? intValue ?? doubleValue.map { "\($0)" } ?? boolValue.map { "\($0)" }
                ?? ""
        }
    }

    var resourceSpans: [Part]
}
