import FarmModel
import FarmStore
import HTTPTypes
import Hummingbird

/// Refuses requests that a foreign web page made, and finds out whose token a request shows.
///
/// Whether the bearer may use a route is decided by the route (``RouteTable``).
struct AccessMiddleware: RouterMiddleware {
    typealias Context = FarmRequestContext

    /// The cookie in which the web page's session keeps its token.
    static let cookie = "dreamfarm_session"

    /// How long a token that opened the metrics opens them unasked: a scrape is not to ask the database,
    /// and to be answered while that is away.
    private static let metricsMemory: Duration = .seconds(600)

    let policy: AccessPolicy
    let gate: RequestGate

    @concurrent func handle(
        _ request: Request,
        context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        try checkHost(request)
        try checkOrigin(request)
        let address = context.channel.remoteAddress?.ipAddress
        return try await AuditOrigin.$current.withValue(address) {
            try await answer(request, context, from: address, next)
        }
    }

    private func answer(
        _ request: Request,
        _ context: Context,
        from address: String?,
        _ next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        var context = context
        guard let token = token(of: request) else { return try await next(request, context) }
        context.caller = try await gate.caller(
            bearing: token,
            from: address,
            rememberedFor: request.uri.path == CoordinatorAPI.metricsPath
                ? Self.metricsMemory : nil
        )
        context.token = token
        guard let caller = context.caller else { return try await next(request, context) }
        return try await gate.pass(caller, token) { [context] in
            try await next(request, context)
        }
    }

    private func checkHost(_ request: Request) throws {
        guard let authority = request.head.authority else { return }
        guard policy.admits(authority: authority) else {
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

    /// The token that the request shows, or nil where it shows none.
    private func token(of request: Request) -> String? {
        if let text = request.headers[.authorization] {
            let prefix = "Bearer "
            return text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : nil
        }
        guard let token = request.cookies[Self.cookie]?.value, Self.isOwnPage(request) else {
            return nil
        }
        return token
    }

    /// Whether a request with a cookie comes from the coordinator's own page.
    ///
    /// `SameSite` keeps other sites out; a page on another port of this host is the same site, so
    /// that what changes anything has to name the coordinator as its origin besides.
    private static func isOwnPage(_ request: Request) -> Bool {
        if let site = request.headers[.secFetchSite], site != "same-origin", site != "none" {
            return false
        }
        let isSafe = request.method == .get || request.method == .head
        return isSafe || request.headers[.origin] != nil
    }
}
