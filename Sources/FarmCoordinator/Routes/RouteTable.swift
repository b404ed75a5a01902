import FarmModel
import HTTPTypes
import Hummingbird

/// A route as it is declared: what it answers and to whom.
package struct RouteDeclaration: Hashable, Sendable {
    package var method: String
    /// The path with its parts in braces, as `/v1/jobs/{job}`.
    package var path: String
    package var access: RouteAccess
}

/// The router's routes, each declared with the least role that may use it.
final class RouteTable {
    typealias Context = FarmRequestContext
    typealias Handler = @Sendable (Request, Context) async throws -> Response

    let router: Router<Context>
    private(set) var declarations: [RouteDeclaration] = []

    init(router: Router<Context>) {
        self.router = router
    }

    /// Declares a route and who may use it.
    func on(
        _ method: HTTPTypes.HTTPRequest.Method,
        _ path: String,
        for access: RouteAccess,
        _ handler: @escaping Handler
    ) {
        declarations.append(
            RouteDeclaration(method: method.rawValue, path: path, access: access)
        )
        router.on(RouterPath(path), method: method) { request, context -> Response in
            guard access.admits(context.caller) else {
                guard let caller = context.caller else { throw CoordinatorProblem.unauthorized }
                throw CoordinatorProblem(
                    .notAllowed,
                    "the token's role is \(caller.role.rawValue); this takes \(access.description)"
                )
            }
            return try await handler(request, context)
        }
    }
}

extension CoordinatorProblem {
    /// A request without a token that is known.
    static var unauthorized: CoordinatorProblem {
        CoordinatorProblem(
            .unauthorized,
            "send a token as 'Authorization: Bearer …'; the first one is in data-dir/token"
        )
    }
}
