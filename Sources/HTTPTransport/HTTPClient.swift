import CLibCurl
import Dispatch
package import Logging
import Synchronization

/// Sends HTTP requests through libcurl.
///
/// Each exchange runs on the thread of its handle's own queue, never on the cooperative pool, and
/// keeps its connection for the next request. Cancelling the caller's task ends the exchange within
/// about a second.
package final class HTTPClient: Sendable {
    private let idle = Mutex<[CurlHandle]>([])
    private let logger: Logger
    private let connectTimeout: Duration

    package init(
        connectTimeout: Duration = .seconds(10),
        logger: Logger = Logger(label: "dreamfarm.http")
    ) {
        self.connectTimeout = connectTimeout
        self.logger = logger
    }

    deinit {
        idle.withLock { handles in
            for handle in handles { curl_easy_cleanup(handle.pointer) }
        }
    }

    /// Sends `request` and returns the answer, whatever its status.
    ///
    /// A try that found no connection is repeated; one that broke under way or was answered 503
    /// only where the request is idempotent.
    ///
    /// - Parameters:
    ///   - request: What to send.
    ///   - retry: How often to try.
    /// - Returns: The answer to the last try.
    /// - Throws: ``HTTPTransportError``, or `CancellationError` when the task is cancelled.
    package func send(
        _ request: HTTPRequest,
        retry: RetryPolicy = .standard
    ) async throws -> HTTPResponse {
        var attempt = 1
        while true {
            let isLast = attempt >= retry.attempts
            do {
                let response = try await exchange(request)
                if response.status != 503 || !request.isIdempotent || isLast { return response }
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
        case .invalidURL, .bodyTooLarge, .file, .other: false
        }
    }

    private func exchange(_ request: HTTPRequest) async throws -> HTTPResponse {
        let isCancelled = CancellationFlag()
        let handle = try idle.withLock { $0.popLast() } ?? CurlHandle.make()
        defer { idle.withLock { $0.append(handle) } }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                handle.queue.async { [self] in
                    let result = Result { try perform(request, on: handle, isCancelled) }
                    continuation.resume(with: result)
                }
            }
        } onCancel: {
            isCancelled.raise()
        }
    }

    private func perform(
        _ request: HTTPRequest,
        on handle: CurlHandle,
        _ isCancelled: CancellationFlag
    ) throws -> HTTPResponse {
        guard !isCancelled.isRaised else { throw CancellationError() }
        defer { curl_easy_reset(handle.pointer) }
        let exchange = CurlExchange(request, handle: handle, isCancelled: isCancelled)
        return try exchange.perform(connectTimeout: connectTimeout)
    }
}

/// A flag that a cancelled task raises and libcurl's progress callback looks at.
final class CancellationFlag: Sendable {
    private let value = Atomic(false)

    var isRaised: Bool { value.load(ordering: .relaxed) }

    func raise() { value.store(true, ordering: .relaxed) }
}

/// One of libcurl's easy handles, with the connections that it keeps.
///
/// Sendable because it is in the idle list or in the hands of one exchange, never both.
struct CurlHandle: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    /// A serial queue, because a concurrent one has no more threads than the machine has cores,
    /// and an exchange may wait for long.
    let queue = DispatchQueue(label: "dreamfarm.http")

    private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    static func make() throws(HTTPTransportError) -> CurlHandle {
        guard isReady, let pointer = curl_easy_init() else {
            throw .other(url: "libcurl", reason: "cannot start")
        }
        return CurlHandle(pointer: pointer)
    }
}
