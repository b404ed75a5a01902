import BlobStore
import FarmModel
import FarmStore
import Hummingbird

extension CoordinatorAPI {
    /// The largest picture of a draft that is accepted, in bytes.
    private static let largestDraft: Int64 = 16 << 20

    func addDraftRoutes(to table: RouteTable) {
        table.on(
            .put,
            "/v1/attempts/{attempt}/draft",
            query: DraftRequest.queryKeys,
            for: .least(.worker)
        ) {
            try await takeDraft($0, $1)
        }
        table.on(.post, "/v1/jobs/{job}/keep", for: .least(.submitter)) { request, context in
            let wish: KeepRequest = try await request.message()
            let job = try await job(context)
            let images = try Self.images(wish.images, isAll: wish.all, "all", of: job)
            return try await answer(
                store.keepDrafts(of: job.id, images: images, by: context.bearer().owner),
                job.id,
                "kept"
            )
        }
        table.on(.post, "/v1/jobs/{job}/drop", for: .least(.submitter)) { request, context in
            let wish: DropRequest = try await request.message()
            let job = try await job(context)
            let images = try Self.images(wish.images, isAll: wish.rest, "rest", of: job)
            return try await answer(
                store.dropDrafts(of: job.id, images: images, by: context.bearer().owner),
                job.id,
                "dropped"
            )
        }
    }

    /// The picture of an image's draft, which is the blob's for ever.
    func draft(of image: ImageRecord, _ request: Request) async throws -> Response {
        guard let draft = image.draft, let digest = draft.digest.flatMap(BlobDigest.init(rawValue:))
        else {
            let why = image.draft == nil ? "has no draft" : "has a draft whose picture is gone"
            throw CoordinatorProblem(.notFound, "the image \(image.id) \(why)")
        }
        if let side = try Self.side(request) {
            return try await thumbnail(of: digest, fitting: side, request)
        }
        return try await content(of: digest, type: draft.mediaType, request)
    }

    /// Stores a draft's picture durably, then lets its image wait for a person under the fence.
    private func takeDraft(_ request: Request, _ context: Context) async throws -> Response {
        let attempt = try context.part("attempt") { AttemptID($0) }
        let query = request.uri.queryParameters
        guard let draft = DraftRequest(attempt: attempt, query: { query.get($0) }) else {
            throw CoordinatorProblem(
                .malformed,
                "the query lacks the lease, image, step or type (jpeg, png), or holds what is no number"
            )
        }
        try await holders.check(draft.fence, by: context.bearer())
        let steps = try await steps(of: draft)
        let stored = try await receive(request, limit: Self.largestDraft)
        let outcome = try await store.draftAttempt(
            draft.fence,
            DraftRecord(
                imageIndex: draft.imageIndex,
                step: draft.step,
                steps: steps,
                digest: stored.digest.rawValue,
                size: stored.size,
                type: draft.type
            ),
            totals: AttemptTotals(draft.report)
        )
        switch outcome {
        case .done(let state):
            forget(attempt)
            return try Response(message: AttemptAnswer(task: state), status: .created)
        case .stale:
            forget(attempt)
            throw staleWrite()
        case .unknownImage:
            throw CoordinatorProblem(
                .notFound,
                "the task has no image \(draft.imageIndex) that waits for a draft"
            )
        case .unwanted(let wanted):
            throw CoordinatorProblem(
                .wrongState,
                wanted.map { "a draft is wanted after step \($0), not \(draft.step)" }
                    ?? "no draft is wanted of the image: finish it"
            )
        case .noCheckpoint(let kept):
            throw CoordinatorProblem(
                .wrongState,
                "the checkpoint of step \(draft.step) is not stored, only "
                    + (kept.map { "that of step \($0)" } ?? "none") + "; store it before the draft"
            )
        }
    }

    /// How many steps the image of a draft has.
    private func steps(of draft: DraftRequest) async throws -> Int {
        guard let task = try await store.task(draft.fence.task),
            let job = try await jobs.job(task.job).resolved,
            (0..<job.imageCount).contains(draft.imageIndex)
        else { throw CoordinatorProblem(.notFound, "there is no image \(draft.imageIndex)") }
        return job.settings(at: draft.imageIndex).steps
    }

    /// The images that a decision names; nil for all.
    private static func images(
        _ indices: [Int]?,
        isAll: Bool?,
        _ word: String,
        of job: JobRecord
    ) throws -> [Int]? {
        switch (indices, isAll ?? false) {
        case (nil, true): return nil
        case (.some(let indices), false):
            try check(indices, of: job)
            return indices
        default:
            throw CoordinatorProblem(
                .malformed,
                "give either 'images', a list of indices, or '\(word)': true"
            )
        }
    }

    private func answer(
        _ outcome: DecisionOutcome,
        _ job: JobID,
        _ verb: String
    ) async throws -> Response {
        switch outcome {
        case .decided: return try await view(of: job)
        case .refused(let index, let state, let decision):
            let before = decision.map { $0 == .kept ? " and was kept before" : " and was not kept" }
            throw CoordinatorProblem(
                .wrongState,
                "image \(index) is \(state)\(before ?? ""): only a draft that waits can be \(verb); "
                    + "nothing is changed"
            )
        case .notFound: throw Self.gone(job)
        }
    }
}
