import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addRetentionRoutes(to table: RouteTable) {
        table.on(.get, "/v1/retention", query: PageRequest.queryKeys, for: .least(.operator)) {
            request,
            _ in
            let page = try PageRequest(request)
            return try Response(
                message: page.page(ofAll: await store.retentionRules(), cursor: \.owner) {
                    RetentionView($0)
                }
            )
        }
        table.on(.put, "/v1/retention/{owner}", for: .least(.operator)) { request, context in
            let owner = try context.part("owner") { $0 }
            guard owner.utf8.count <= 256 else {
                throw CoordinatorProblem(.malformed, "an owner is at most 256 bytes")
            }
            let asked = try await request.message(RetentionRequest.self)
            let rule = RetentionRule(
                owner: owner,
                outputs: try Self.seconds(asked.outputs, "outputs"),
                history: try Self.seconds(asked.history, "history")
            )
            guard rule.outputs != nil || rule.history != nil else {
                throw CoordinatorProblem(
                    .malformed,
                    "give 'outputs', 'history', or both; DELETE takes the owner's rule away"
                )
            }
            try await store.setRetention(rule, by: context.bearer().owner)
            return try Response(message: RetentionView(rule))
        }
        table.on(.delete, "/v1/retention/{owner}", for: .least(.operator)) { _, context in
            let owner = try context.part("owner") { $0 }
            guard try await store.removeRetention(of: owner, by: context.bearer().owner) else {
                throw CoordinatorProblem(.notFound, "'\(owner)' has no rule of retention")
            }
            return Response(status: .noContent)
        }
    }

    private static func seconds(_ text: String?, _ key: String) throws -> Double? {
        guard let text else { return nil }
        guard let seconds = KeptTime.seconds(text) else {
            throw CoordinatorProblem(
                .malformed,
                "'\(key)' is a time as 90s, 30m or 720h, or forever, not '\(text)'"
            )
        }
        return seconds
    }
}

extension RetentionView {
    init(_ rule: RetentionRule) {
        self.init(
            owner: rule.owner,
            outputs: rule.outputs.map { KeptTime.text($0) },
            history: rule.history.map { KeptTime.text($0) }
        )
    }
}
