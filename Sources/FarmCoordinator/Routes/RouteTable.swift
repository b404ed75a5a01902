import FarmModel
import HTTPTypes
import Hummingbird

/// A route as it is declared: what it answers and to whom.
package struct RouteDeclaration: Hashable, Sendable {
    package var method: String
    /// The path with its parts in braces, as `/v1/jobs/{job}`.
    package var path: String
    /// The keys of the query that it reads.
    package var query: [String]
    package var access: RouteAccess

    /// Whether it is about one worker or what it works on.
    var namesWorkersThings: Bool {
        access.isForWorkers
            && ["{worker}", "{attempt}", "{key}"].contains { path.contains($0) }
            || path == "/v1/workers"
    }
}

/// The router's routes, each declared with the least role that may use it.
final class RouteTable {
    typealias Context = FarmRequestContext
    typealias Handler = @Sendable (Request, Context) async throws -> Response

    let router: Router<Context>
    private let asksWorkersForCertificates: Bool
    private(set) var declarations: [RouteDeclaration] = []

    init(router: Router<Context>, asksWorkersForCertificates: Bool) {
        self.router = router
        self.asksWorkersForCertificates = asksWorkersForCertificates
    }

    /// Answers every other method on the routes that are declared with what there is.
    func closeMethods() {
        for (path, routes) in Dictionary(grouping: declarations, by: \.path) {
            let allowed = routes.map(\.method).sorted()
            for method in Self.methods where !allowed.contains(method.rawValue) {
                router.on(RouterPath(path), method: method) { _, _ -> Response in
                    var problem = CoordinatorProblem(
                        .methodNotAllowed,
                        "\(path) takes \(allowed.joined(separator: " or ")), not \(method.rawValue)"
                    )
                    problem.allow = allowed
                    throw problem
                }
            }
        }
    }

    private static let methods =
        [.get, .head, .post, .put, .patch, .delete, .options, .trace]
        + [HTTPTypes.HTTPRequest.Method("QUERY")].compactMap(\.self)

    /// Declares a route, the keys of its query, and who may use it.
    ///
    /// The handler sees no other keys of the query.
    func on(
        _ method: HTTPTypes.HTTPRequest.Method,
        _ path: String,
        query: [String] = [],
        for access: RouteAccess,
        _ handler: @escaping Handler
    ) {
        declarations.append(
            RouteDeclaration(method: method.rawValue, path: path, query: query, access: access)
        )
        let asksWorkers = asksWorkersForCertificates
        let namesWorker = path.contains("{worker}")
        router.on(RouterPath(path), method: method) { request, context -> Response in
            guard access.admits(context.caller) else {
                guard let caller = context.caller else { throw CoordinatorProblem.unauthorized }
                guard !caller.isJoining else { throw CoordinatorProblem.joinsOnly }
                throw CoordinatorProblem(
                    .notAllowed,
                    "the token's role is \(caller.role.rawValue); this takes \(access.description)"
                )
            }
            if asksWorkers, access.isForWorkers || context.caller?.role == .worker {
                try await context.checkCertificate()
            }
            if namesWorker { try context.checkWorker() }
            return try await handler(request.asking(only: query), context)
        }
    }
}

extension Request {
    /// The request without the keys of its query that are not among `names`.
    fileprivate func asking(only names: [String]) -> Request {
        guard let path = head.path, let mark = path.firstIndex(of: "?") else { return self }
        let items = path[path.index(after: mark)...].split(separator: "&")
        let kept = items.filter { item in
            names.contains(String(item.prefix { $0 != "=" }))
        }
        guard kept.count < items.count else { return self }
        var head = head
        head.path = path[..<mark] + (kept.isEmpty ? "" : "?" + kept.joined(separator: "&"))
        return Request(head: head, body: body)
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

    /// A request beyond joining with a token that is for joining.
    static var joinsOnly: CoordinatorProblem {
        CoordinatorProblem(
            .notAllowed,
            "the token lets a worker join and nothing else: dreamfarm-worker run --token TOKEN"
        )
    }
}
