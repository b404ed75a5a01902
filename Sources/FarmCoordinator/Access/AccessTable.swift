import FarmModel
import FarmStore

/// Who may call what, as a table for people, made from the routes' declarations.
package enum AccessTable {
    /// The columns: a request without a token, each role, a worker with a key of its own, and a token
    /// by which workers join.
    private static let callers: [(name: String, caller: Caller?)] =
        [("no token", nil)]
        + TokenRole.allCases.map { ($0.rawValue, Caller(owner: "someone", role: $0)) }
        + [
            ("worker's own key", bound(.worker(.random()))),
            ("join token", bound(.join(.random()))),
        ]

    /// The table in Markdown, a row a route.
    package static func markdown(_ routes: [RouteDeclaration]) -> String {
        let header = ["route"] + callers.map(\.name)
        let rows = routes.sorted { ($0.path, $0.method) < ($1.path, $1.method) }.map { route in
            ["`\(route.method) \(route.path)`"]
                + callers.map { answer(to: $0.caller, on: route) }
        }
        let lines = [header, header.map { _ in "--" }] + rows
        return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
            + "\n"
    }

    private static func answer(to caller: Caller?, on route: RouteDeclaration) -> String {
        guard route.access.admits(caller) else { return "" }
        return caller?.ownWorker != nil && route.namesWorkersThings ? "its own" : "yes"
    }

    private static func bound(_ binding: TokenBinding) -> Caller {
        Caller(owner: "someone", role: .worker, binding: binding)
    }
}
