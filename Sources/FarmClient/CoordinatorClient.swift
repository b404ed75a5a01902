import FarmModel
import FoundationEssentials
package import HTTPTransport
import Telemetry

/// The coordinator's API as typed calls.
///
/// Every call throws ``FarmClientError`` where there is no answer, and `CancellationError` where
/// the task was cancelled.
package struct CoordinatorClient: Sendable {
    /// The coordinator's address, without a `/` at its end.
    package let coordinator: String
    private let bearer: BearerToken
    private let transport: HTTPClient
    private let retry: RetryPolicy

    package init(
        coordinator: String,
        token: String,
        transport: HTTPClient = HTTPClient(),
        retry: RetryPolicy = .standard
    ) {
        self.init(
            coordinator: coordinator,
            bearer: BearerToken(token),
            transport: transport,
            retry: retry
        )
    }

    /// A client that shows what `bearer` holds at each request.
    package init(
        coordinator: String,
        bearer: BearerToken,
        transport: HTTPClient = HTTPClient(),
        retry: RetryPolicy = .standard
    ) {
        self.coordinator = coordinator.hasSuffix("/") ? String(coordinator.dropLast()) : coordinator
        self.bearer = bearer
        self.transport = transport
        self.retry = retry
    }

    /// A client by what is given, else by the environment, else by what this machine has.
    ///
    /// - Parameters:
    ///   - coordinator: The coordinator's address, or nil.
    ///   - token: The token to show, or nil.
    ///   - dataDirectory: The data folder of a coordinator of this machine.
    ///   - tls: Whom it believes, and what it shows.
    ///   - environment: The process's environment.
    ///   - retry: How often it tries to reach the coordinator.
    /// - Throws: ``FarmClientError/noToken(path:)`` where no token is given or found.
    package init(
        coordinator: String?,
        token: String?,
        dataDirectory: String,
        tls: HTTPClientTLS = HTTPClientTLS(),
        environment: [String: String],
        retry: RetryPolicy = .standard
    ) throws(FarmClientError) {
        let known = token ?? environment["DREAMFARM_TOKEN"]
        let found: String
        if let known { found = known } else { found = try Self.localToken(in: dataDirectory) }
        self.init(
            coordinator: coordinator ?? environment["DREAMFARM_COORDINATOR"]
                ?? FarmSettings.coordinator,
            token: found,
            transport: HTTPClient(tls: tls),
            retry: retry
        )
    }

    /// The token that a coordinator of this machine left in its data folder.
    ///
    /// - Throws: ``FarmClientError/noToken(path:)`` where there is none that can be read.
    package static func localToken(in dataDirectory: String) throws(FarmClientError) -> String {
        let path = FarmSettings.tokenFile(in: dataDirectory)
        guard let data = FileManager.default.contents(atPath: path), !data.isEmpty else {
            throw .noToken(path: path)
        }
        return String(decoding: data.filter { $0 > 0x20 && $0 < 0x7f }, as: UTF8.self)
    }

    // MARK: - Calls

    /// Sends a message and reads the answer as `Answer`.
    func call<Answer: Decodable>(
        _ method: String,
        _ path: String,
        _ message: (some Encodable)? = String?.none,
        timeout: Duration = .seconds(60),
        isIdempotent: Bool? = nil
    ) async throws -> Answer {
        let body = try message.map { HTTPBody.bytes(try FarmJSON.encode($0)) } ?? .none
        let response = try await send(
            method,
            path,
            body: body,
            contentType: "application/json",
            timeout: timeout,
            isIdempotent: isIdempotent
        )
        guard let answer = try? FarmJSON.decode(Answer.self, from: response.body) else {
            throw FarmClientError.unreadable(url: coordinator + path, status: response.status)
        }
        return answer
    }

    /// Sends a request and returns its answer if that is a success.
    @discardableResult
    func send(
        _ method: String,
        _ path: String,
        body: HTTPBody = .none,
        contentType: String,
        destination: HTTPDestination = .memory(limit: 64 << 20),
        timeout: Duration? = .seconds(60),
        isIdempotent: Bool? = nil
    ) async throws -> HTTPResponse {
        func exchange(_ token: String) async throws -> HTTPResponse {
            let request = HTTPRequest(
                method: method,
                url: coordinator + path,
                headers: [
                    (name: "Authorization", value: "Bearer \(token)"),
                    (name: "Content-Type", value: contentType),
                ] + TraceContext.headers,
                body: body,
                destination: destination,
                timeout: timeout,
                isIdempotent: isIdempotent
            )
            return try await Self.reaching { try await transport.send(request, retry: retry) }
        }
        let token = bearer.text
        var response = try await exchange(token)
        // A request under way while the token was renewed comes with one that is over.
        if response.status == 401, case let next = bearer.text, next != token {
            response = try await exchange(next)
        }
        guard response.isSuccess else {
            throw Self.refusal(coordinator + path, response.status, response.body)
        }
        return response
    }

    /// Sends a request, and returns the body of its answer as it comes.
    func stream(
        _ path: String,
        headers: [(name: String, value: String)] = []
    ) async throws -> HTTPByteStream {
        let request = HTTPRequest(
            method: "GET",
            url: coordinator + path,
            headers: [
                (name: "Authorization", value: "Bearer \(bearer.text)")
            ] + headers,
            timeout: nil
        )
        let response = try await Self.reaching { try await transport.open(request, retry: retry) }
        guard (200..<300).contains(response.status) else {
            let body = try await response.body.collect(upTo: 1 << 20)
            throw Self.refusal(request.url, response.status, body)
        }
        return response.body
    }

    /// Turns the transport's failures to reach anybody into the client's.
    private static func reaching<Answer>(
        _ call: () async throws -> Answer
    ) async throws -> Answer {
        do {
            return try await call()
        } catch let error as HTTPTransportError where error.isUnreachable {
            throw FarmClientError.unreachable(error)
        }
    }

    /// What an answer other than a success says.
    private static func refusal(_ url: String, _ status: Int, _ body: Data) -> FarmClientError {
        guard let problem = try? FarmJSON.decode(ProblemDetails.self, from: body) else {
            return .unreadable(url: url, status: status)
        }
        return .refused(problem)
    }
}
