import FarmModel
import FarmStore
import FoundationEssentials
import Hummingbird

extension CoordinatorAPI {
    /// How long a token is good by which one worker joins, where nobody says it.
    private static let oneTimeSeconds = 86_400.0

    func addOperatorRoutes(to table: RouteTable) {
        table.on(.get, "/v1/tokens", query: PageRequest.queryKeys, for: .least(.admin)) {
            request,
            _ in
            let page = try PageRequest(request)
            return try Response(
                message: page.page(ofAll: await store.tokens(), cursor: { $0.id.description }) {
                    TokenView($0)
                }
            )
        }
        table.on(.post, "/v1/tokens", for: .least(.admin)) { request, context in
            try await createToken(await request.message(), context.bearer())
        }
        table.on(.delete, "/v1/tokens/{token}", query: ["workers"], for: .least(.admin)) {
            request,
            context in
            let id = try context.part("token") { TokenID($0) }
            let removed = try await store.revokeToken(
                id,
                withWorkers: request.flag("workers"),
                by: context.bearer().owner
            )
            guard let removed else {
                throw CoordinatorProblem(.notFound, "there is no token \(id) that still counts")
            }
            forgetWorkers(removed)
            return Response(status: .noContent)
        }
        table.on(.get, "/v1/webhooks", query: ["job", "limit"], for: .least(.operator)) {
            request,
            _ in
            let limit = try PageRequest(request).limit
            let job = request.uri.queryParameters.get("job").flatMap { JobID($0) }
            let webhooks = try await store.webhooks(of: job, limit: limit)
            return try Response(message: Page(items: webhooks.map { WebhookView($0) }))
        }
        table.on(
            .get,
            "/v1/audit",
            query: AuditFilter.queryKeys + PageRequest.queryKeys,
            for: .least(.operator)
        ) { request, _ in
            let page = try PageRequest(request)
            let rows = try await store.auditTrail(
                try AuditFilter(request),
                after: page.cursor { Int64($0) },
                limit: page.limit + 1
            )
            return try Response(
                message: page.page(rows, cursor: { String($0.id) }) { try AuditView($0) }
            )
        }
    }

    private func createToken(_ request: TokenRequest, _ caller: Caller) async throws -> Response {
        guard !request.owner.isEmpty, request.owner.utf8.count <= 128 else {
            throw CoordinatorProblem(.malformed, "an owner is 1 to 128 characters")
        }
        guard !request.owner.hasPrefix(FarmOwner.prefix) else {
            throw CoordinatorProblem(
                .malformed,
                "owners that begin with '\(FarmOwner.prefix)' are the farm's own; choose another name"
            )
        }
        guard !request.owner.hasPrefix(IdentityProvider.ownerPrefix) else {
            throw CoordinatorProblem(
                .malformed,
                "owners that begin with '\(IdentityProvider.ownerPrefix)' are those of an identity "
                    + "provider; choose another name"
            )
        }
        if let seconds = request.expiresInSeconds, !(seconds > 0 && seconds < 1e10) {
            throw CoordinatorProblem(.malformed, "'expires_in_seconds' is a number above 0")
        }
        try Self.checkJoin(request)
        let seconds =
            request.expiresInSeconds ?? (request.join == .once ? Self.oneTimeSeconds : nil)
        let expiresAt = seconds.map { Date(timeIntervalSinceNow: $0) }
        let pool = request.join == .pool ? request.pool ?? TokenRequest.defaultPool : request.pool
        let token = try await store.createToken(
            owner: request.owner,
            role: request.role,
            expiresAt: expiresAt,
            join: request.join,
            pool: pool,
            by: caller.owner
        )
        tokens.forget()
        var view = TokenView(
            id: token.id,
            owner: request.owner,
            role: request.role,
            createdAt: Date(),
            expiresAt: expiresAt,
            token: token.secret
        )
        view.join = request.join
        view.pool = pool
        return try Response(message: view, status: .created)
    }

    private static func checkJoin(_ request: TokenRequest) throws {
        guard request.join == nil || request.role == .worker else {
            throw CoordinatorProblem(.malformed, "'join' takes the role 'worker'")
        }
        guard let pool = request.pool else { return }
        guard request.join != nil else {
            throw CoordinatorProblem(.malformed, "'pool' takes a 'join': once or pool")
        }
        guard (1...128).contains(pool.utf8.count) else {
            throw CoordinatorProblem(.malformed, "'pool' is a name of 1 to 128 characters")
        }
    }
}

extension TokenView {
    init(_ token: TokenRecord) {
        self.init(
            id: token.id,
            owner: token.owner,
            role: token.role,
            createdAt: token.createdAt,
            expiresAt: token.expiresAt,
            revokedAt: token.revokedAt
        )
        join = token.join
        pool = token.pool
        spentAt = token.spentAt
        workers = token.workers > 0 ? token.workers : nil
    }
}

extension AuditFilter {
    /// Reads the filter of a query.
    fileprivate init(_ request: Request) throws {
        self.init()
        let query = request.uri.queryParameters
        actor = query.get("actor")
        action = query.get("action")
        target = query.get("target")
        since = try request.moment("since")
        until = try request.moment("until")
        guard let text = query.get("order") else { return }
        guard let known = Order(rawValue: text) else {
            throw CoordinatorProblem(
                .malformed,
                "'order' in the query is newest or oldest, not '\(text)'"
            )
        }
        order = known
    }
}

extension AuditView {
    init(_ record: AuditRecord) throws {
        self.init(
            number: record.id,
            at: record.at,
            actor: record.actor,
            action: record.action,
            target: record.target,
            detail: try SpecificationValue(json: Data(record.detail.utf8))
        )
        origin = record.origin
    }
}

extension WebhookView {
    init(_ record: WebhookRecord) {
        self.init(
            id: record.id.uuidString.lowercased(),
            job: record.job,
            url: record.url,
            attempts: record.attempts,
            dueAt: record.dueAt,
            sentAt: record.sentAt,
            givenUpAt: record.givenUpAt,
            lastError: record.lastError
        )
    }
}
