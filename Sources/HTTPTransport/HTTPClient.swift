import FoundationEssentials
package import Logging
import Synchronization

/// Sends HTTP requests through libcurl.
///
/// All of a client's exchanges run on one thread of its own, never on the cooperative pool, and
/// share their connections, which are kept for the next request: share a client where many talk
/// to one server. Cancelling the caller's task ends its exchange.
package final class HTTPClient: Sendable {
    private let loop = Mutex<CurlLoop?>(nil)
    private let logger: Logger
    private let connectTimeout: Duration
    private let tls: HTTPClientTLS

    /// A client.
    ///
    /// - Parameters:
    ///   - connectTimeout: How long a connection may take to come about.
    ///   - tls: Whom it believes, and what it shows.
    ///   - logger: Where it tells of tries that failed.
    package init(
        connectTimeout: Duration = .seconds(10),
        tls: HTTPClientTLS = HTTPClientTLS(),
        logger: Logger = Logger(label: "dreamfarm.http")
    ) {
        self.connectTimeout = connectTimeout
        self.tls = tls
        self.logger = logger
    }

    deinit { loop.withLock { $0?.stop() } }

    /// Sends `request` and returns the answer, whatever its status.
    ///
    /// A try that found no connection is repeated; one that broke under way or was answered 503
    /// only where the request is idempotent. One that was answered 429 was not looked at.
    ///
    /// - Parameters:
    ///   - request: What to send.
    ///   - retry: How often to try.
    /// - Returns: The answer to the last try.
    /// - Throws: ``HTTPTransportError``, `CancellationError` when the task is cancelled, or what a
    ///   streamed body throws.
    package func send(
        _ request: HTTPRequest,
        retry: RetryPolicy = .standard
    ) async throws -> HTTPResponse {
        try await tried(request, retry, status: \.status) {
            let (exchange, channel) = try makeExchange(request)
            return try await feeding(exchange, channel) {
                try await withTaskCancellationHandler {
                    try await withCheckedThrowingContinuation { exchange.start(.whole($0)) }
                } onCancel: {
                    exchange.cancel()
                }
            }
        }
    }

    /// Sends `request` and returns the answer as soon as its headers are there; its body is a
    /// stream, whatever `request.destination` says.
    ///
    /// It tries again as ``send(_:retry:)`` does, but not once the headers have come. The body of
    /// the request may not be a stream.
    ///
    /// - Parameters:
    ///   - request: What to send.
    ///   - retry: How often to try.
    /// - Returns: The answer to the last try.
    /// - Throws: ``HTTPTransportError``, or `CancellationError` when the task is cancelled.
    package func open(
        _ request: HTTPRequest,
        retry: RetryPolicy = .standard
    ) async throws -> HTTPStreamingResponse {
        if case .stream = request.body {
            preconditionFailure("A request whose answer is streamed has its body at hand")
        }
        return try await tried(request, retry, status: \.status) {
            let (exchange, _) = try makeExchange(request)
            let channel = ReceivingChannel()
            let head = try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation {
                    exchange.start(.streaming($0, channel))
                }
            } onCancel: {
                exchange.cancel()
            }
            return HTTPStreamingResponse(
                status: head.status,
                headers: head.headers,
                body: HTTPByteStream(channel, of: exchange, on: self)
            )
        }
    }

    private func tried<Response>(
        _ request: HTTPRequest,
        _ retry: RetryPolicy,
        status: (Response) -> Int,
        _ exchange: () async throws -> Response
    ) async throws -> Response {
        var attempt = 1
        while true {
            let isLast = attempt >= retry.attempts
            do {
                let response = try await exchange()
                let mayRepeat = request.isIdempotent || status(response) == 429
                let isFinal = !retry.statuses.contains(status(response)) || !mayRepeat
                if isFinal || isLast { return response }
            } catch let error as HTTPTransportError {
                guard !isLast, Self.mayRepeat(request, after: error) else { throw error }
                logger.debug("Request failed", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: retry.delay(after: attempt))
            attempt += 1
        }
    }

    private static func mayRepeat(_ request: HTTPRequest, after error: HTTPTransportError) -> Bool {
        switch error {
        case .cannotConnect: true
        case .connectionLost, .timedOut: request.isIdempotent
        case .invalidURL, .notPublic, .untrusted, .bodyTooLarge, .file, .other: false
        }
    }

    private func makeExchange(
        _ request: HTTPRequest
    ) throws(HTTPTransportError) -> (CurlExchange, SendingChannel?) {
        let isStreamed = if case .stream = request.body { true } else { false }
        let channel = isStreamed ? SendingChannel() : nil
        let exchange = CurlExchange(
            request,
            on: try startedLoop(),
            connectTimeout: connectTimeout,
            tls: tls,
            sending: channel
        )
        return (exchange, channel)
    }

    private func startedLoop() throws(HTTPTransportError) -> CurlLoop {
        try loop.withLock { loop throws(HTTPTransportError) in
            if let loop { return loop }
            let started = try CurlLoop.start()
            loop = started
            return started
        }
    }

    /// Runs `body` while the request's stream, if it has one, is pumped into the exchange.
    private func feeding(
        _ exchange: CurlExchange,
        _ channel: SendingChannel?,
        _ body: () async throws -> HTTPResponse
    ) async throws -> HTTPResponse {
        guard let channel, case .stream(_, let makeChunks) = exchange.request.body else {
            return try await body()
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    for try await chunk in makeChunks() {
                        await channel.send(chunk) { exchange.resume() }
                    }
                    channel.finish { exchange.resume() }
                } catch {
                    exchange.cancel(error)
                }
            }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}
