import FarmModel

/// Who may call what, as a table for people, made from the routes' declarations.
package enum AccessTable {
    /// The columns: a request without a token, and each role.
    private static let callers: [(name: String, role: TokenRole?)] =
        [("no token", nil)] + TokenRole.allCases.map { ($0.rawValue, $0) }

    /// The table in Markdown, a row a route.
    package static func markdown(_ routes: [RouteDeclaration]) -> String {
        let header = ["route"] + callers.map(\.name)
        let rows = routes.sorted { ($0.path, $0.method) < ($1.path, $1.method) }.map { route in
            ["`\(route.method) \(route.path)`"]
                + callers.map { admits(route.access, $0.role) ? "yes" : "" }
        }
        let lines = [header, header.map { _ in "--" }] + rows
        return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
            + "\n"
    }

    private static func admits(_ access: RouteAccess, _ role: TokenRole?) -> Bool {
        access.admits(role.map { Caller(owner: "someone", role: $0) })
    }
}
