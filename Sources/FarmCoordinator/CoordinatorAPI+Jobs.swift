import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import Hummingbird

extension CoordinatorAPI {
    /// The owner of everything that the admin token does.
    static let owner = "admin"
    /// How many things a page of a list has.
    private static let pageSize = 100

    func addJobRoutes(to group: RouterGroup<Context>) {
        group.post("jobs") { request, _ in try await submit(request, key: nil) }
        group.put("jobs/{job}") { request, context in
            let key = try context.part("job", JobKey.init(rawValue:))
            return try await submit(request, key: key)
        }
        group.get("jobs") { request, _ in
            let after = request.uri.queryParameters.get("after").flatMap { JobID($0) }
            let jobs = try await store.jobs(owner: nil, before: after, limit: Self.pageSize)
            let isFull = jobs.count == Self.pageSize
            return try Response(
                message: Page(
                    items: jobs.map { JobView($0) },
                    next: isFull ? jobs.last?.id.description : nil
                )
            )
        }
        group.get("jobs/{job}") { _, context in
            try Response(message: JobView(await job(context)))
        }
        group.get("jobs/{job}/images") { request, context in
            let job = try await job(context)
            let after = request.uri.queryParameters.get("after").flatMap { Int($0) }
            let images = try await store.images(
                of: job.id,
                afterIndex: after,
                limit: Self.pageSize
            )
            let isFull = images.count == Self.pageSize
            return try Response(
                message: Page(
                    items: images.map { try ImageView($0) },
                    next: isFull ? images.last.map { String($0.index) } : nil
                )
            )
        }
        group.get("jobs/{job}/tasks") { _, context in
            let tasks = try await store.tasks(of: job(context).id)
            return try Response(message: Page(items: tasks.map { TaskView($0) }, next: nil))
        }
        group.post("jobs/{job}/cancel") { _, context in
            let found = try await job(context)
            _ = try await store.cancelJob(found.id)
            return try Response(message: JobView(await job(context)))
        }
        group.get("images/{image}/content") { _, context in
            let id = try context.part("image") { ImageID($0) }
            guard let image = try await store.image(id) else {
                throw CoordinatorProblem(.notFound, "there is no image \(id)")
            }
            guard let digest = image.outputDigest.flatMap(BlobDigest.init(rawValue:)) else {
                throw CoordinatorProblem(.notFound, "the image \(id) is \(image.state)")
            }
            return try await content(of: digest, type: "image/png", context)
        }
        group.get("models") { _, _ in
            let models = try await store.models()
            let items = models.enumerated().map { index, model in
                ModelView(name: model.name, digest: model.digest, isDefault: index == 0)
            }
            return try Response(message: Page(items: items, next: nil))
        }
    }

    /// The job that the path names by its id or key.
    private func job(_ context: Context) async throws -> JobRecord {
        let name = try context.part("job") { $0 }
        let job =
            if let id = JobID(name) {
                try await store.job(id)
            } else {
                try await store.job(key: name, owner: Self.owner)
            }
        guard let job else { throw CoordinatorProblem(.notFound, "there is no job '\(name)'") }
        return job
    }

    // MARK: - Submission

    private func submit(_ request: Request, key: JobKey?) async throws -> Response {
        let data = try await request.bodyData(limit: 16 << 20)
        let specification = try JobSpecification(document: SpecificationValue(json: data))
        try await checkBlobs(of: specification)
        let model = try await model(of: specification)
        guard let defaults = try? FarmJSON.decode(ModelDefaults.self, from: model.defaults) else {
            throw CoordinatorProblem(
                .unknownModel,
                "the model '\(model.name)' is recorded without defaults; restart its worker"
            )
        }
        let label = specification.name ?? key?.rawValue ?? "job"
        let images = specification.images(
            defaults: defaults,
            seed: Int64.random(in: 0...Int64(UInt32.max)),
            label: label
        )
        var submission = JobSubmission(
            owner: Self.owner,
            name: label,
            specification: specification.canonicalJSON,
            canonicalDigest: specification.digest.rawValue,
            modelName: model.name,
            modelDigest: model.digest,
            images: try images.map { image in
                NewImage(
                    index: image.index,
                    name: image.name,
                    seed: image.settings.seed,
                    parameters: try FarmJSON.text(image.settings)
                )
            }
        )
        submission.key = key?.rawValue
        submission.priority = specification.priority
        submission.maxAttempts = specification.limits.maxAttempts
        return try answer(
            await store.submitJob(submission),
            warnings: specification.warnings
        )
    }

    private func answer(
        _ outcome: SubmitOutcome,
        warnings: [SpecificationProblem]
    ) throws -> Response {
        switch outcome {
        case .created(let job):
            try Response(message: JobView(job, warnings: warnings), status: .created)
        case .existing(let job):
            try Response(message: JobView(job, warnings: warnings))
        case .conflict(let job):
            throw CoordinatorProblem(
                .conflict,
                "the key '\(job.key ?? "")' already names the job \(job.id) of another "
                    + "specification; choose another key"
            )
        }
    }

    /// Refuses a job whose references the farm does not have.
    private func checkBlobs(of specification: JobSpecification) async throws {
        let needed = Set(specification.references.compactMap(\.sha256))
        let missing = try await Set(blobs.missing(among: Array(needed)))
        let problems = specification.references.compactMap { condition -> SpecificationProblem? in
            guard let digest = condition.sha256 else {
                return SpecificationProblem(
                    path: "parameters.references",
                    message: "'\(condition.image)' has no sha256; submit with the command"
                )
            }
            guard missing.contains(digest) else { return nil }
            return SpecificationProblem(
                path: "parameters.references",
                message: "'\(condition.image)' is not uploaded; PUT it to /v1/blobs/\(digest)"
            )
        }
        guard problems.isEmpty else {
            throw CoordinatorProblem(.missingBlobs, problems[0].description, problems: problems)
        }
    }

    private func model(of specification: JobSpecification) async throws -> ModelRecord {
        guard let name = specification.model else {
            guard let model = try await store.models().first else {
                throw CoordinatorProblem(
                    .unknownModel,
                    "no model is known yet; start a worker, or name one that is recorded"
                )
            }
            return model
        }
        guard let model = try await store.model(named: name) else {
            let known = try await store.models().map(\.name).joined(separator: ", ")
            throw CoordinatorProblem(
                .unknownModel,
                "there is no model '\(name)'; known are: \(known.isEmpty ? "none" : known)"
            )
        }
        return model
    }
}

extension JobView {
    init(_ job: JobRecord, warnings: [SpecificationProblem]? = nil) {
        self.init(
            id: job.id,
            key: job.key,
            name: job.name,
            owner: job.owner,
            state: job.state,
            priority: job.priority,
            model: job.modelName,
            modelDigest: job.modelDigest,
            images: job.images,
            createdAt: job.createdAt,
            startedAt: job.startedAt,
            finishedAt: job.finishedAt,
            warnings: warnings
        )
    }
}

extension ImageView {
    init(_ image: ImageRecord) throws {
        self.init(
            id: image.id,
            index: image.index,
            name: image.name,
            state: image.state,
            digest: image.outputDigest,
            size: image.outputSize,
            failure: image.failure,
            settings: try FarmJSON.decode(from: image.parameters)
        )
    }
}

extension TaskView {
    init(_ task: TaskRecord) {
        self.init(
            id: task.id,
            state: task.state,
            attempts: task.attempts,
            worker: task.worker,
            leaseDeadline: task.leaseDeadline,
            failure: task.failure
        )
    }
}
