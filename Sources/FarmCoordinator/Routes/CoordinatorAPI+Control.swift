import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    func addControlRoutes(to table: RouteTable) {
        table.on(.post, "/v1/jobs/{job}/cancel", query: ["mode"], for: .least(.submitter)) {
            request,
            context in
            let mode = try Self.cancelMode(request)
            let job = try await job(context)
            _ = try await store.cancelJob(job.id, mode: mode, by: context.bearer().owner)
            return try await self.view(of: job.id)
        }
        table.on(.post, "/v1/jobs/{job}/pause", for: .least(.submitter)) { _, context in
            let job = try await job(context)
            return try await answer(
                store.pauseJob(job.id, by: context.bearer().owner),
                "be paused"
            )
        }
        table.on(.post, "/v1/jobs/{job}/resume", for: .least(.submitter)) { _, context in
            let job = try await job(context)
            return try await answer(
                store.resumeJob(job.id, by: context.bearer().owner),
                "be resumed"
            )
        }
        table.on(.post, "/v1/jobs/{job}/retry", for: .least(.submitter)) { request, context in
            let wish = try await request.message(or: RetryRequest())
            let job = try await job(context)
            try Self.check(wish.images ?? [], of: job)
            switch try await store.retryJob(
                job.id,
                images: wish.images,
                by: context.bearer().owner
            ) {
            case .nothingToRetry where wish.images != nil:
                throw CoordinatorProblem(
                    .wrongState,
                    "none of these images has failed; only failed ones are tried again"
                )
            case .retried, .nothingToRetry: return try await self.view(of: job.id)
            case .refused(let state): throw Self.wrongState(state, "be retried")
            case .notFound: throw Self.gone(job.id)
            }
        }
        table.on(.patch, "/v1/jobs/{job}", for: .least(.submitter)) { request, context in
            try await prioritize(request, context)
        }
        table.on(.delete, "/v1/jobs/{job}", query: ["what_if"], for: .least(.submitter)) {
            request,
            context in
            try await delete(request, context)
        }
    }

    private func prioritize(_ request: Request, _ context: Context) async throws -> Response {
        let wish: PriorityRequest = try await request.message()
        let caller = try context.bearer()
        if let priority = wish.priority, !(0...100).contains(priority) {
            throw CoordinatorProblem(.malformed, "a priority is 0 to 100, not \(priority)")
        }
        if wish.isLifted != nil, !caller.role.includes(.operator) {
            throw CoordinatorProblem(
                .notAllowed,
                "only an operator lifts a job above the owners' shares"
            )
        }
        let job = try await job(context)
        if let priority = wish.priority, !caller.role.includes(.operator),
            let ceiling = try await store.accounts(of: job.owner).first?.quotas.priorityCeiling,
            priority > ceiling
        {
            throw CoordinatorProblem(
                .notAllowed,
                OwnerStanding.refusal(of: priority, above: ceiling, owner: job.owner)
            )
        }
        return try await answer(
            store.prioritizeJob(
                job.id,
                priority: wish.priority,
                isLifted: wish.isLifted,
                by: caller.owner
            ),
            "be reprioritised"
        )
    }

    private func delete(_ request: Request, _ context: Context) async throws -> Response {
        let job = try await job(context)
        if try request.flag("what_if") {
            guard let preview = try await store.deletionPreview(job.id) else {
                throw Self.gone(job.id)
            }
            return try Response(message: DeletePreview(job, preview, isDeleted: false))
        }
        switch try await store.deleteJob(job.id, by: context.bearer().owner) {
        case .deleted(let preview):
            jobs.forget(job.id)
            return try Response(message: DeletePreview(job, preview, isDeleted: true))
        case .refused(let state):
            throw CoordinatorProblem(.wrongState, "the job is \(state); cancel it first")
        case .notFound: throw Self.gone(job.id)
        }
    }

    /// How a query's `mode` says that running attempts stop.
    private static func cancelMode(_ request: Request) throws -> CancelMode {
        guard let text = request.uri.queryParameters.get("mode") else { return .afterStep }
        guard let mode = CancelMode(rawValue: text) else {
            throw CoordinatorProblem(
                .malformed,
                "'mode' in the query is after_step or now, not '\(text)'"
            )
        }
        return mode
    }

    private func answer(_ outcome: ControlOutcome, _ action: String) throws -> Response {
        switch outcome {
        case .done(let job), .unchanged(let job): return try Response(message: JobView(job))
        case .refused(let state): throw Self.wrongState(state, action)
        case .notFound: throw CoordinatorProblem(.notFound, "the job is not there any more")
        }
    }

    /// Refuses indices of images that a job does not have.
    static func check(_ indices: [Int], of job: JobRecord) throws {
        let range = 0..<job.images.total
        guard let unknown = indices.first(where: { !range.contains($0) }) else { return }
        throw CoordinatorProblem(
            .notFound,
            "the job has no image \(unknown); it has 0 to \(job.images.total - 1)"
        )
    }

    func view(of id: JobID) async throws -> Response {
        guard let job = try await store.job(id) else { throw Self.gone(id) }
        return try Response(message: JobView(job))
    }

    private static func wrongState(_ state: JobState, _ action: String) -> CoordinatorProblem {
        CoordinatorProblem(.wrongState, "the job is \(state) and cannot \(action)")
    }

    static func gone(_ id: JobID) -> CoordinatorProblem {
        CoordinatorProblem(.notFound, "there is no job \(id)")
    }
}
