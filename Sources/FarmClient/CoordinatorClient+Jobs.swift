package import FarmModel
package import FoundationEssentials
package import HTTPTransport

/// Which jobs a list has.
package struct JobFilter: Hashable, Sendable {
    package var state: JobState?
    /// Only an operator sees other owners' jobs.
    package var owner: String?

    package init(state: JobState? = nil, owner: String? = nil) {
        self.state = state
        self.owner = owner
    }
}

extension CoordinatorClient {
    // MARK: - Submitting

    /// Submits a job; with a key, submitting the same job again gives the same job.
    ///
    /// - Parameters:
    ///   - specification: The job, its files named by digest.
    ///   - key: The client's own name for it, unique within its owner.
    ///   - requiresWorker: Whether a job that no live worker can run is refused.
    /// - Returns: The job as it was accepted, or as it stands when it was submitted before.
    /// - Throws: ``FarmClientError`` where the coordinator refuses or does not answer.
    package func submit(
        _ specification: JobSpecification,
        key: JobKey?,
        requiresWorker: Bool = false
    ) async throws -> JobView {
        let query = requiresWorker ? [("require_runnable", "true")] : []
        return try await call(
            key == nil ? "POST" : "PUT",
            Self.path(key.map { "/v1/jobs/\($0)" } ?? "/v1/jobs", query),
            specification.document,
            timeout: .seconds(300)
        )
    }

    /// What a job would be: its images, tasks and cost, and what no worker can run.
    package func plan(_ specification: JobSpecification) async throws -> PlanView {
        try await call(
            "POST",
            "/v1/jobs?dry_run=true",
            specification.document,
            timeout: .seconds(300),
            isIdempotent: true
        )
    }

    // MARK: - Looking

    /// The job with this id or key.
    package func job(_ idOrKey: String) async throws -> JobView {
        guard !idOrKey.isEmpty else {
            throw FarmClientError.refused(
                ProblemDetails(.notFound, detail: "no job has an empty name; give an id or key")
            )
        }
        return try await call("GET", "/v1/jobs/\(URLText.encode(idOrKey))")
    }

    /// The jobs, newest first.
    package func jobs(_ filter: JobFilter = JobFilter()) -> PagedList<JobView> {
        list("/v1/jobs", [("state", filter.state?.rawValue), ("owner", filter.owner)])
    }

    /// A job's images, by index.
    package func images(of job: JobID, state: ImageState? = nil) -> PagedList<ImageView> {
        list("/v1/jobs/\(job)/images", [("state", state?.rawValue)])
    }

    /// A job's tasks, by number.
    package func tasks(of job: JobID, state: TaskState? = nil) -> PagedList<TaskView> {
        list("/v1/jobs/\(job)/tasks", [("state", state?.rawValue)])
    }

    /// Why tasks of a job wait: a line for each reason.
    package func why(_ job: JobID) async throws -> [WhyView] {
        try await list("/v1/jobs/\(job)/why").all()
    }

    /// A task.
    package func task(_ id: TaskID) async throws -> TaskView {
        try await call("GET", "/v1/tasks/\(id)")
    }

    /// A task's attempts, the oldest first.
    package func attempts(of task: TaskID) -> PagedList<AttemptView> {
        list("/v1/tasks/\(task)/attempts")
    }

    /// Why a task waits.
    package func why(_ task: TaskID) async throws -> WhyView {
        try await call("GET", "/v1/tasks/\(task)/why")
    }

    /// What workers logged of a task, the oldest first, from a cursor on.
    package func log(of task: TaskID, after: String? = nil) async throws -> Page<LogLine> {
        try await call("GET", Self.path("/v1/tasks/\(task)/log", [("after", after)]))
    }

    // MARK: - Changing

    /// Stops a job and returns it as it then stands.
    package func cancel(_ job: JobID, mode: CancelMode = .afterStep) async throws -> JobView {
        try await call(
            "POST",
            "/v1/jobs/\(job)/cancel?mode=\(mode.rawValue)",
            isIdempotent: true
        )
    }

    /// Keeps a job's tasks from being claimed; what is at a worker is finished.
    package func pause(_ job: JobID) async throws -> JobView {
        try await call("POST", "/v1/jobs/\(job)/pause", isIdempotent: true)
    }

    /// Lets a paused job go on.
    package func resume(_ job: JobID) async throws -> JobView {
        try await call("POST", "/v1/jobs/\(job)/resume", isIdempotent: true)
    }

    /// Tries failed images again: those of the indices, or all.
    package func retry(_ job: JobID, images: [Int]? = nil) async throws -> JobView {
        try await call("POST", "/v1/jobs/\(job)/retry", RetryRequest(images: images))
    }

    /// Lets drafts go on to their ends: those of the indices, or all.
    package func keep(_ job: JobID, images: [Int]?) async throws -> JobView {
        let request = KeepRequest(images: images, all: images == nil ? true : nil)
        return try await call("POST", "/v1/jobs/\(job)/keep", request, isIdempotent: true)
    }

    /// Cancels drafts: those of the indices, or all that wait.
    package func drop(_ job: JobID, images: [Int]?) async throws -> JobView {
        let request = DropRequest(images: images, rest: images == nil ? true : nil)
        return try await call("POST", "/v1/jobs/\(job)/drop", request, isIdempotent: true)
    }

    /// Changes a job's priority; an operator may lift it above the owners' shares.
    package func prioritize(_ job: JobID, _ request: PriorityRequest) async throws -> JobView {
        try await call("PATCH", "/v1/jobs/\(job)", request, isIdempotent: true)
    }

    /// Deletes a job that is over with its pictures, or only says what that would take away.
    package func delete(_ job: JobID, isPreview: Bool) async throws -> DeletePreview {
        try await call("DELETE", "/v1/jobs/\(job)" + (isPreview ? "?what_if=true" : ""))
    }

    /// The bytes of a delivered picture.
    package func picture(_ image: ImageID) async throws -> Data {
        try await send(
            "GET",
            "/v1/images/\(image)/content",
            contentType: "application/json",
            timeout: nil
        ).body
    }

    /// The delivered pictures of a job as the parts of a zip file, as they come.
    package func archive(of job: JobID) async throws -> HTTPByteStream {
        try await stream("/v1/jobs/\(job)/archive")
    }

    /// Downloads the picture of an image's draft into the file at `path`.
    package func downloadDraft(of image: ImageID, to path: String) async throws {
        try await send(
            "GET",
            "/v1/images/\(image)/draft",
            contentType: "application/json",
            destination: .file(path),
            timeout: nil
        )
    }

    /// Downloads a delivered picture into the file at `path`, going on where an earlier try ended.
    package func downloadImage(_ image: ImageID, to path: String) async throws {
        try await send(
            "GET",
            "/v1/images/\(image)/content",
            contentType: "application/json",
            destination: .file(path),
            timeout: nil
        )
    }
}
