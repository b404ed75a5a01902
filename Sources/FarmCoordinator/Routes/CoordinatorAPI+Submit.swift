import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird

extension CoordinatorAPI {
    /// The longest specification that is read, in bytes.
    private static let largestSpecification = 16 << 20

    func addSubmitRoutes(to table: RouteTable) {
        table.on(
            .post,
            "/v1/jobs",
            query: ["dry_run", "require_runnable"],
            for: .least(.submitter)
        ) { request, context in
            try await submit(request, key: nil, context)
        }
        table.on(
            .put,
            "/v1/jobs/{job}",
            query: ["dry_run", "require_runnable"],
            for: .least(.submitter)
        ) { request, context in
            let key = try context.part("job", JobKey.init(rawValue:))
            return try await submit(request, key: key, context)
        }
    }

    private func submit(
        _ request: Request,
        key: JobKey?,
        _ context: Context
    ) async throws -> Response {
        let caller = try context.bearer()
        let isDryRun = try request.flag("dry_run")
        let mustRun = try request.flag("require_runnable")
        let data = try await request.bodyData(limit: Self.largestSpecification)
        let specification = try JobSpecification(document: SpecificationValue(json: data))
        let draft = try await JobDraft(
            specification,
            key: key,
            by: caller,
            isDryRun: isDryRun,
            self
        )
        if isDryRun { return try Response(message: draft.view()) }
        try draft.check(mustRun: mustRun)
        try await confirm(context)
        switch try await store.submitJob(draft.submission()) {
        case .created(let job):
            jobs.note(job, draft.resolved)
            return try Response(message: JobView(job, warnings: draft.warnings), status: .created)
        case .existing(let job):
            return try Response(message: JobView(job, warnings: draft.warnings))
        case .conflict(let job):
            throw CoordinatorProblem(
                .conflict,
                "the key '\(job.key ?? "")' already names the job \(job.id) of another "
                    + "specification; choose another key"
            )
        case .unknownDependency(let id):
            throw JobSpecificationError(
                path: "after",
                message: "there is no job \(id); name a job that was submitted"
            )
        }
    }

    /// Refuses a request whose token is over by now: its body may have taken long, and its owner may have
    /// been erased meanwhile.
    func confirm(_ context: Context) async throws {
        guard let token = context.token,
            let caller = try await tokens.caller(bearing: token, rememberedFor: .zero),
            caller.owner == context.caller?.owner
        else { throw CoordinatorProblem.unauthorized }
    }
}
