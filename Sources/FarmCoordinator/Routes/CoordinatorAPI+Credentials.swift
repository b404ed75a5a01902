import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addCredentialRoutes(to table: RouteTable) {
        table.on(.post, "/v1/workers/{worker}/credential", for: .least(.worker)) {
            request,
            context in
            let worker = try context.part("worker") { WorkerID($0) }
            let caller = try context.bearer()
            guard caller.ownWorker == worker else {
                throw CoordinatorProblem(
                    .notAllowed,
                    "only a worker that has joined renews its key; this token is none of a worker's own"
                )
            }
            let isKept = try await store.renewCredential(
                of: worker,
                next: request.message(CredentialRequest.self).credential,
                lifetime: settings.workerCredential,
                by: caller.owner
            )
            guard isKept else {
                throw CoordinatorProblem(
                    .wrongState,
                    "the key that the worker shows is over, or the next one was used before"
                )
            }
            return try Response(message: credentialTerms)
        }
    }

    /// How long a key is good that is kept now.
    var credentialTerms: CredentialTerms {
        CredentialTerms(lifetimeSeconds: settings.workerCredential.inSeconds)
    }

    /// By what right a caller registers a worker.
    func admission(
        of caller: Caller,
        _ request: RegistrationRequest
    ) throws -> WorkerAdmission {
        switch caller.binding {
        case nil: return .token
        case .worker(let id): return .own(id)
        case .join(let token):
            guard let key = request.credential else {
                throw CoordinatorProblem(
                    .malformed,
                    "'credential' is missing: a worker that joins tells the SHA-256 of the key that it "
                        + "will show"
                )
            }
            return .join(WorkerJoin(token: token, key: key, lifetime: settings.workerCredential))
        }
    }

    /// Answers what a key or token does not let in with the reason.
    static func answeringRefusals<Answer>(
        _ body: () async throws -> Answer
    ) async throws -> Answer {
        do {
            return try await body()
        } catch let refusal as WorkerRefusal {
            let kind: ProblemKind =
                switch refusal {
                case .keyOver: .unauthorized
                case .placeTaken: .wrongState
                case .tokenOver, .tokenSpent, .pool, .keyTaken: .notAllowed
                }
            throw CoordinatorProblem(kind, refusal.description)
        }
    }
}
