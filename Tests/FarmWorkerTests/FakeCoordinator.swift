import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import HTTPTransport
import Testing

/// A coordinator's calls without a coordinator: hands out what a test lays down, writes down what
/// is told, refuses what it is told to refuse.
final class FakeCoordinator: CoordinatorCalls {
    let journal: Journal
    private let state: Watched<State>

    private struct State: Sendable {
        var tasks: [TaskAssignment] = []
        var refusals: [String: [FarmClientError]] = [:]
        var held: Set<String> = []
        var answers: [HeartbeatAnswer] = []
        var registrations: [RegistrationRequest] = []
        var renewals: [CredentialRequest] = []
        var terms: CredentialTerms?
        var heartbeats: [HeartbeatRequest] = []
        var claims: [ClaimRequest] = []
        var blobs: [BlobDigest: Data] = [:]
        var artifacts: [ArtifactKey: Data] = [:]
        var pictures: [Int: Data] = [:]
        var saidDigests: [Int: BlobDigest] = [:]
        var checkpoints: [(request: CheckpointRequest, bytes: Data)] = []
        var drafts: [(request: DraftRequest, picture: Data)] = []
        var reports: [AttemptReport] = []
        var failures: [FailureRequest] = []
        var releases: [AttemptRequest] = []
        var epoch: Int64 = 0
        var desired = DesiredWorkerState.run
        var capabilities = CoordinatorCapability.allCases
        /// What a worker is to be in a group, by what it says of itself.
        var order: (@Sendable (HeartbeatRequest) -> GroupOrder?)?
        /// What the worker was told last to be, and said last that it is.
        var lastOrder: GroupOrder?
        var standing: GroupStanding?

        /// Whether a claim is not as what the worker is by now.
        func isOver(_ claim: ClaimRequest) -> Bool {
            guard let lead = claim.lead else { return lastOrder.map { !$0.isReserved } ?? false }
            return standing.map {
                $0.phase != .ready || lead != GroupEpoch(group: $0.group, epoch: $0.epoch)
            } ?? true
        }
    }

    static let heartbeatSeconds = 15.0
    let worker = WorkerID.random()

    init(journal: Journal = Journal()) {
        self.journal = journal
        state = Watched(State())
    }

    // MARK: - What a test lays down

    func lay(_ tasks: TaskAssignment...) {
        state.update { $0.tasks += tasks }
    }

    /// Answers the next calls of `name` with errors.
    func refuse(_ name: String, _ errors: [FarmClientError]) {
        state.update { $0.refusals[name, default: []] += errors }
    }

    /// Holds the calls of `name` back until ``letGo(_:)``.
    func hold(_ name: String) {
        state.update { _ = $0.held.insert(name) }
    }

    func letGo(_ name: String) {
        state.update { _ = $0.held.remove(name) }
    }

    /// Answers the next heartbeat.
    func answer(_ answer: HeartbeatAnswer) {
        state.update { $0.answers.append(answer) }
    }

    /// Answers every heartbeat from now on with what the worker is to be in a group.
    func seat(_ order: @escaping @Sendable (HeartbeatRequest) -> GroupOrder?) {
        state.update { $0.order = order }
    }

    /// Answers who joins, and who renews its key, with how long that is good.
    func grant(_ terms: CredentialTerms) {
        state.update { $0.terms = terms }
    }

    /// Answers every heartbeat from now on with the wish for a state.
    func want(_ desired: DesiredWorkerState) {
        state.update { $0.desired = desired }
    }

    func store(_ data: Data) -> BlobDigest {
        let digest = BlobDigest(of: data)
        state.update { $0.blobs[digest] = data }
        return digest
    }

    func store(_ data: Data, as digest: BlobDigest) {
        state.update { $0.blobs[digest] = data }
    }

    func can(_ capabilities: [CoordinatorCapability]) {
        state.update { $0.capabilities = capabilities }
    }

    // MARK: - What it was told

    var registrations: [RegistrationRequest] { state.read { $0.registrations } }
    var renewals: [CredentialRequest] { state.read { $0.renewals } }
    var heartbeats: [HeartbeatRequest] { state.read { $0.heartbeats } }
    var claims: [ClaimRequest] { state.read { $0.claims } }
    var artifacts: [ArtifactKey: Data] { state.read { $0.artifacts } }
    var pictures: [Int: Data] { state.read { $0.pictures } }
    /// The digests that came with them.
    var saidDigests: [Int: BlobDigest] { state.read { $0.saidDigests } }
    var reports: [AttemptReport] { state.read { $0.reports } }
    var failures: [FailureRequest] { state.read { $0.failures } }
    var releases: [AttemptRequest] { state.read { $0.releases } }
    var drafts: [(request: DraftRequest, picture: Data)] { state.read { $0.drafts } }
    var checkpoints: [(request: CheckpointRequest, bytes: Data)] { state.read { $0.checkpoints } }

    /// The latest checkpoint as a later task brings it.
    func offer() throws -> CheckpointOffer {
        let last = try #require(checkpoints.last)
        return CheckpointOffer(
            imageIndex: last.request.imageIndex,
            digest: store(last.bytes),
            step: last.request.step,
            numericClass: last.request.numericClass
        )
    }

    // MARK: - CoordinatorCalls

    private func begin(_ name: String, _ line: String) async throws {
        if state.read({ $0.held.contains(name) }) { journal.write("hold \(name)") }
        try await state.wait { $0.held.contains(name) ? nil : () }
        let refusal = state.update { state -> FarmClientError? in
            guard state.refusals[name]?.isEmpty == false else { return nil }
            return state.refusals[name]?.removeFirst()
        }
        journal.write(refusal == nil ? line : "\(line) refused")
        if let refusal { throw refusal }
    }

    func register(_ request: RegistrationRequest) async throws -> RegistrationAnswer {
        try await begin("register", "register")
        return state.update { state in
            state.epoch += 1
            state.registrations.append(request)
            return RegistrationAnswer(
                id: worker,
                epoch: state.epoch,
                name: request.name,
                model: request.model.name,
                leaseSeconds: 60,
                heartbeatSeconds: Self.heartbeatSeconds,
                capabilities: state.capabilities,
                credential: request.credential == nil ? nil : state.terms
            )
        }
    }

    func renew(
        _ worker: WorkerID,
        _ request: CredentialRequest
    ) async throws -> CredentialTerms {
        try await begin("renew", "renew")
        return state.update { state in
            state.renewals.append(request)
            return state.terms ?? CredentialTerms(lifetimeSeconds: 0)
        }
    }

    func heartbeat(
        _ worker: WorkerID,
        _ request: HeartbeatRequest
    ) async throws -> HeartbeatAnswer {
        try await begin("heartbeat", "heartbeat")
        return state.update { state in
            state.heartbeats.append(request)
            guard state.answers.isEmpty else { return state.answers.removeFirst() }
            state.standing = request.group
            state.lastOrder = state.order?(request)
            return HeartbeatAnswer(
                cancel: [],
                desiredState: state.desired,
                heartbeatSeconds: state.order == nil ? Self.heartbeatSeconds : 0.1,
                group: state.lastOrder
            )
        }
    }

    func claim(_ worker: WorkerID, _ request: ClaimRequest) async throws -> ClaimAnswer {
        journal.write("ask")
        state.update { $0.claims.append(request) }
        let found = try await state.wait { state -> TaskAssignment?? in
            if state.isOver(request) { return .some(nil) }
            guard !state.held.contains("claim"), !state.tasks.isEmpty else {
                return request.waitSeconds > 0 ? nil : .some(nil)
            }
            return state.tasks.removeFirst()
        }
        guard let task = found else {
            return ClaimAnswer(reason: .inGroup, retryAfterSeconds: 0.05)
        }
        try await begin("claim", "claim \(task.images.first?.index ?? -1)")
        try await state.wait { $0.held.contains("claim answer") ? nil : () }
        return ClaimAnswer(tasks: [task])
    }

    func leave(_ worker: WorkerID, epoch: Int64) async throws {
        try await begin("leave", "leave")
    }

    func downloadBlob(_ digest: BlobDigest, to path: String) async throws {
        try await begin("download", "download \(digest.rawValue.prefix(8))")
        guard let data = state.read({ $0.blobs[digest] }) else {
            throw FarmClientError.refused(ProblemDetails(.notFound))
        }
        guard FileManager.default.createFile(atPath: path, contents: data) else {
            throw HTTPTransportError.file(path: path, reason: "cannot be written")
        }
    }

    func artifact(_ key: ArtifactKey, _ fence: AttemptFence) async throws -> Data? {
        try await begin("artifact", "artifact")
        return artifacts[key]
    }

    func putArtifact(_ bytes: Data, as key: ArtifactKey, _ fence: AttemptFence) async throws {
        try await begin("putArtifact", "put artifact")
        state.update { $0.artifacts[key] = bytes }
    }

    func deliver(_ picture: Data, _ request: DeliveryRequest) async throws -> DeliveryAnswer {
        try await begin("deliver", "deliver \(request.imageIndex)")
        state.update { state in
            state.pictures[request.imageIndex] = picture
            state.saidDigests[request.imageIndex] = request.digest
            if request.isFinal, let report = request.report { state.reports.append(report) }
        }
        return DeliveryAnswer(
            digest: BlobDigest(of: picture),
            wasDelivered: false,
            task: request.isFinal ? .succeeded : nil
        )
    }

    func saveCheckpoint(
        _ checkpoint: Data,
        _ request: CheckpointRequest
    ) async throws -> CheckpointAnswer {
        try await begin("checkpoint", "checkpoint \(request.imageIndex) at \(request.step)")
        state.update { $0.checkpoints.append((request, checkpoint)) }
        return CheckpointAnswer(digest: BlobDigest(of: checkpoint), step: request.step)
    }

    func draft(_ picture: Data, _ request: DraftRequest) async throws -> AttemptAnswer {
        try await begin("draft", "draft \(request.imageIndex) at \(request.step)")
        state.update { state in
            state.drafts.append((request, picture))
            if let report = request.report { state.reports.append(report) }
        }
        return AttemptAnswer(task: .drafted)
    }

    func complete(_ request: AttemptRequest) async throws -> AttemptAnswer {
        try await begin("complete", "complete")
        state.update { state in
            if let report = request.report { state.reports.append(report) }
        }
        return AttemptAnswer(task: .succeeded)
    }

    func fail(_ request: FailureRequest) async throws -> AttemptAnswer {
        try await begin("fail", "fail")
        state.update { $0.failures.append(request) }
        return AttemptAnswer(task: .ready)
    }

    func release(_ request: AttemptRequest) async throws -> AttemptAnswer {
        try await begin("release", "release \(request.reason?.rawValue ?? "")")
        state.update { state in
            state.releases.append(request)
            if let report = request.report { state.reports.append(report) }
        }
        return AttemptAnswer(task: .ready)
    }
}

extension FarmClientError {
    /// The coordinator does not answer.
    static let away = FarmClientError.unreachable(
        .cannotConnect(url: "http://farm", reason: "it is away")
    )
    /// The lease is over.
    static let stale = FarmClientError.refused(ProblemDetails(.stale))
    /// The coordinator does not know the worker.
    static let unknown = FarmClientError.refused(ProblemDetails(.notFound))
}
