import FarmModel
import HTTPTypes
import Hummingbird

/// Refuses requests that a foreign web page made, and finds out whose token a request shows.
///
/// Whether the bearer may use a route is decided by the route (``RouteTable``).
struct AccessMiddleware: RouterMiddleware {
    typealias Context = FarmRequestContext

    /// The cookie in which the web page's session keeps its token.
    static let cookie = "dreamfarm_session"

    let policy: AccessPolicy
    let authority: any TokenAuthority

    @concurrent func handle(
        _ request: Request,
        context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        try checkHost(request)
        try checkOrigin(request)
        var context = context
        context.caller = try await caller(of: request)
        return try await next(request, context)
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

    /// The bearer of the request's token, or nil where it shows none that is known.
    private func caller(of request: Request) async throws -> Caller? {
        if let text = request.headers[.authorization] {
            let prefix = "Bearer "
            guard text.hasPrefix(prefix) else { return nil }
            return try await authority.caller(bearing: String(text.dropFirst(prefix.count)))
        }
        guard let token = request.cookies[Self.cookie]?.value, Self.isOwnPage(request) else {
            return nil
        }
        return try await authority.caller(bearing: token)
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
