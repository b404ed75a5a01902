package import FarmModel
import HTTPTransport

extension CoordinatorClient {
    // MARK: - Workers and pools

    /// The farm's workers, by name.
    package func workers(withLost: Bool = false) -> PagedList<WorkerView> {
        list("/v1/workers", [("lost", withLost ? "true" : nil)])
    }

    /// Lets a worker finish and then take nothing more.
    package func drain(_ worker: String, reason: String?) async throws -> WorkerView {
        try await tell(worker, "drain", reason)
    }

    /// Lets a worker take tasks again.
    package func wake(_ worker: String, reason: String?) async throws -> WorkerView {
        try await tell(worker, "wake", reason)
    }

    /// Keeps a worker from everything until an operator wakes it.
    package func quarantine(_ worker: String, reason: String?) async throws -> WorkerView {
        try await tell(worker, "quarantine", reason)
    }

    /// Removes a worker: its own keys are over.
    package func remove(_ worker: String) async throws {
        try await send(
            "DELETE",
            "/v1/workers/\(URLText.encode(worker))",
            contentType: "application/json"
        )
    }

    private func tell(
        _ worker: String,
        _ wish: String,
        _ reason: String?
    ) async throws -> WorkerView {
        try await call(
            "POST",
            "/v1/workers/\(URLText.encode(worker))/\(wish)",
            WorkerStateRequest(reason: reason),
            isIdempotent: true
        )
    }

    /// The farm with its pools.
    package func farm() async throws -> FarmView {
        try await call("GET", "/v1/farm")
    }

    /// Pauses or resumes a pool, or the whole farm where none is named.
    package func setPaused(_ isPaused: Bool, pool: String?) async throws -> FarmView {
        let place = pool.map { "/v1/pools/\(URLText.encode($0))" } ?? "/v1/farm"
        return try await call(
            "POST",
            "\(place)/\(isPaused ? "pause" : "resume")",
            isIdempotent: true
        )
    }

    // MARK: - Watching

    /// What the farm can do, what waits for it, and how many workers it should have.
    package func capacity() async throws -> CapacityView {
        try await call("GET", "/v1/capacity")
    }

    /// What owners' jobs used in some time; nil for its bounds is all the history.
    package func usage(
        since start: String?,
        until end: String?,
        of owner: String?
    ) -> PagedList<UsageView> {
        list("/v1/usage", [("since", start), ("until", end), ("owner", owner)])
    }

    /// What is wrong with the farm.
    package func doctor() async throws -> DoctorView {
        try await call("GET", "/v1/doctor")
    }

    // MARK: - Groups

    /// The groups of workers, by name.
    package func groups(withDissolved: Bool = false) -> PagedList<GroupView> {
        list("/v1/groups", [("dissolved", withDissolved ? "true" : nil)])
    }

    /// A group by its id or name.
    package func group(_ group: String) async throws -> GroupView {
        try await call("GET", "/v1/groups/\(URLText.encode(group))")
    }

    /// Makes a group; its members finish what they hold first.
    package func formGroup(_ request: GroupRequest) async throws -> GroupView {
        try await call("POST", "/v1/groups", request)
    }

    /// Lets a group finish and end, or gives back at once what it holds.
    package func dissolveGroup(_ group: String, now isNow: Bool) async throws -> GroupView {
        try await call(
            "POST",
            "/v1/groups/\(URLText.encode(group))/dissolve" + (isNow ? "?now=true" : ""),
            isIdempotent: true
        )
    }

    // MARK: - Models

    /// The models that the farm knows.
    package func models() -> PagedList<ModelView> {
        list("/v1/models")
    }

    /// Registers a model whose files are uploaded.
    package func addModel(_ name: String, _ request: ModelRequest) async throws -> ModelView {
        try await call("PUT", "/v1/models/\(URLText.encode(name))", request)
    }

    /// Makes a model the one that jobs get which name none.
    package func makeDefault(_ model: String) async throws -> ModelView {
        try await call(
            "POST",
            "/v1/models/\(URLText.encode(model))/default",
            isIdempotent: true
        )
    }

    /// Forgets a model that no live job or worker uses.
    package func removeModel(_ name: String) async throws {
        try await send(
            "DELETE",
            "/v1/models/\(URLText.encode(name))",
            contentType: "application/json"
        )
    }

    // MARK: - Access

    /// Makes a token; its text is in the answer and nowhere else.
    package func createToken(_ request: TokenRequest) async throws -> TokenView {
        try await call("POST", "/v1/tokens", request)
    }

    /// The tokens, without their texts.
    package func tokens() -> PagedList<TokenView> {
        list("/v1/tokens")
    }

    /// Makes a token worthless, and where asked for removes the workers that joined by it.
    package func revokeToken(_ id: TokenID, withWorkers: Bool = false) async throws {
        try await send(
            "DELETE",
            "/v1/tokens/\(id)" + (withWorkers ? "?workers=true" : ""),
            contentType: "application/json"
        )
    }

    /// Who changed what, as far as asked for.
    package func auditTrail(_ filter: AuditFilter = AuditFilter()) -> PagedList<AuditView> {
        list("/v1/audit", filter.query)
    }

    // MARK: - Audits of pictures

    /// The audits of pictures, the newest first.
    package func pictureAudits(state: PictureAuditState? = nil) -> PagedList<PictureAuditView> {
        list("/v1/audits", [("state", state?.rawValue)])
    }

    /// The audit of a number.
    package func pictureAudit(_ number: Int64) async throws -> PictureAuditView {
        try await call("GET", "/v1/audits/\(number)")
    }

    /// What the liar of an audit delivered since it was last found right.
    package func pictures(ofLiarIn audit: Int64) -> PagedList<DeliveredPictureView> {
        list("/v1/audits/\(audit)/pictures")
    }

    // MARK: - Owners and limits

    /// The owners, with what they may use and use.
    package func accounts() -> PagedList<AccountView> {
        list("/v1/accounts")
    }

    /// Changes an owner's part of the farm or its quotas.
    package func changeAccount(
        of owner: String,
        _ request: AccountRequest
    ) async throws -> AccountView {
        try await call("PUT", "/v1/accounts/\(URLText.encode(owner))", request)
    }

    /// The named limits.
    package func limits() -> PagedList<LimitView> {
        list("/v1/limits")
    }

    /// Sets how many places a named limit has.
    package func setLimit(_ name: String, count: Int) async throws -> LimitView {
        try await call("PUT", "/v1/limits/\(URLText.encode(name))", LimitRequest(count: count))
    }

    /// Takes a named limit away.
    package func removeLimit(_ name: String) async throws {
        try await send(
            "DELETE",
            "/v1/limits/\(URLText.encode(name))",
            contentType: "application/json"
        )
    }

    /// The owners whose things are kept for another time than the settings say.
    package func retentionRules() -> PagedList<RetentionView> {
        list("/v1/retention")
    }

    /// Says how long an owner's things are kept.
    package func setRetention(
        of owner: String,
        _ request: RetentionRequest
    ) async throws -> RetentionView {
        try await call("PUT", "/v1/retention/\(URLText.encode(owner))", request)
    }

    /// Takes an owner's rule away.
    package func removeRetention(of owner: String) async throws {
        try await send(
            "DELETE",
            "/v1/retention/\(URLText.encode(owner))",
            contentType: "application/json"
        )
    }

    /// Erases everything of an owner, or only says what that would take away.
    package func erase(_ owner: String, isPreview: Bool) async throws -> ErasureView {
        try await call(
            "DELETE",
            "/v1/accounts/\(URLText.encode(owner))" + (isPreview ? "?what_if=true" : ""),
            timeout: .seconds(3600)
        )
    }
}
