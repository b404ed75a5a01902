import Crypto
import FarmModel
import HTTPTypes
import Hummingbird

/// What a request must show to be let in: a token, and a `Host` and `Origin` of this coordinator.
package struct AccessPolicy: Sendable {
    /// The token that opens every route.
    package var token: String
    /// The hosts under which the coordinator is addressed, without ports; nil for any.
    package var hosts: Set<String>?

    package init(token: String, hosts: Set<String>?) {
        self.token = token
        self.hosts = hosts
    }

    /// The hosts under which a listener on `address` is addressed: for loopback its names, so
    /// that a web page cannot reach it under a name of its own; for others any.
    package static func hosts(listeningOn address: String) -> Set<String>? {
        ListenAddress.isLoopback(address) ? ["127.0.0.1", "localhost", "[::1]", address] : nil
    }
}

/// Refuses requests without the token and requests that a foreign web page made.
struct AccessMiddleware<Context: RequestContext>: RouterMiddleware {
    let policy: AccessPolicy
    private static var openPaths: Set<String> { ["/healthz", "/readyz"] }

    @concurrent func handle(
        _ request: Request,
        context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        try checkHost(request)
        try checkOrigin(request)
        if !Self.openPaths.contains(request.uri.path) { try checkToken(request) }
        return try await next(request, context)
    }

    private func checkHost(_ request: Request) throws {
        guard let hosts = policy.hosts, let authority = request.head.authority else { return }
        guard hosts.contains(Self.host(of: authority)) else {
            throw CoordinatorProblem(.forbidden, "the Host '\(authority)' is not this coordinator")
        }
    }

    private func checkOrigin(_ request: Request) throws {
        guard let origin = request.headers[.origin] else { return }
        let authority = request.head.authority ?? ""
        guard origin == "http://\(authority)" || origin == "https://\(authority)" else {
            throw CoordinatorProblem(.forbidden, "the Origin '\(origin)' is not this coordinator")
        }
    }

    private func checkToken(_ request: Request) throws {
        let given = request.headers[.authorization] ?? ""
        // Digests are compared, so that the time taken says nothing about the token.
        let isRight =
            SHA256.hash(data: Array(given.utf8))
            == SHA256.hash(data: Array("Bearer \(policy.token)".utf8))
        guard isRight else {
            throw CoordinatorProblem(
                .unauthorized,
                "send the token of data-dir/token as 'Authorization: Bearer …'"
            )
        }
    }

    /// An authority without its port, in lower case.
    private static func host(of authority: String) -> String {
        let text = authority.lowercased()
        guard let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") else {
            return text
        }
        return String(text[..<colon])
    }
}
