import FarmModel
import FarmStore
import FoundationEssentials
import Telemetry

/// A job on its way into the farm: checked, resolved against its model, cut into tasks.
struct JobDraft: Sendable {
    let specification: JobSpecification
    let key: JobKey?
    let owner: String
    let model: ModelRecord
    let resolved: ResolvedJob
    let after: [JobID]
    let plan: TaskPlan
    /// What its tasks are still to be cut for, in seconds; nil where they are.
    let targetSeconds: Double?
    /// Live workers that can run it.
    let eligible: [WorkerRecord]
    /// Why no live worker can run it; nil where one can.
    let obstacle: WhyView?
    /// The group that its pictures are for, as they are late without it; nil where workers alone
    /// are to make them.
    let decision: GroupDecision?
    /// Files that are missing or no pictures.
    let findings: ReferenceFindings
    /// What the owner's quotas and the farm's limits say to it.
    let standing: OwnerStanding

    /// What is doubtful: of the specification, that quotas and limits let it wait, and that nothing
    /// can run it now.
    var warnings: [SpecificationProblem] {
        let known = specification.warnings + standing.warnings
        guard let obstacle else { return known }
        return known + [SpecificationProblem(path: "", message: "it waits: \(obstacle.sentence)")]
    }

    /// Resolves and plans a specification; nothing is stored.
    ///
    /// - Parameters:
    ///   - specification: The job.
    ///   - key: The submitter's name for it.
    ///   - caller: Whose it is.
    ///   - isDryRun: Whether files may still be missing: what is wrong besides is then told without
    ///     them.
    ///   - api: What the job is looked up in.
    /// - Throws: Everything that is wrong, each with its path.
    init(
        _ specification: JobSpecification,
        key: JobKey?,
        by caller: Caller,
        isDryRun: Bool,
        _ api: CoordinatorAPI
    ) async throws {
        self.specification = specification
        self.key = key
        owner = caller.owner
        findings = try await ReferenceFindings(
            of: specification,
            for: caller.seesEverything ? nil : caller.owner,
            api
        )
        let resolution = try await Self.model(of: specification, api.store)
        let dependencies = try await Self.dependencies(of: specification, owner: owner, api.store)
        standing = try await OwnerStanding(of: specification, key: key, by: caller, api.store)
        let problems =
            standing.problems + findings.pictureProblems + dependencies.problems
        let missing = isDryRun ? [] : findings.missingProblems
        switch resolution {
        case .success(let model): self.model = model
        case .failure(let unknown):
            let all = [unknown.problem] + problems + missing
            guard all.count > 1 else {
                throw CoordinatorProblem(.unknownModel, unknown.problem.message, problems: all)
            }
            throw JobSpecificationError(problems: all)
        }
        guard problems.isEmpty else { throw JobSpecificationError(problems: problems + missing) }
        after = dependencies.jobs
        guard let defaults = try? FarmJSON.decode(ModelDefaults.self, from: model.defaults) else {
            throw CoordinatorProblem(
                .unknownModel,
                "the model '\(model.name)' is recorded without defaults; restart its worker"
            )
        }
        resolved = ResolvedJob(
            specification,
            model: model.name,
            modelDigest: model.digest,
            defaults: defaults,
            seed: Int64.random(in: 0...Int64(UInt32.max)),
            label: specification.name ?? key?.rawValue ?? "job"
        )
        let requirement = TaskRequirement(specification.requirements)
        eligible = try await api.store.workers().able(toRun: model.digest, requirement)
        let speed = eligible.medianSpeed
        if let problem = resolved.draftProblem { throw JobSpecificationError(problems: [problem]) }
        var chunk = specification.chunk
        if specification.draftSteps != nil { chunk.count = 1 }
        targetSeconds = speed == nil && chunk.count == nil ? chunk.targetSeconds : nil
        let costs =
            (try? FarmJSON.decode(CostConstants.self, from: model.costConstants)) ?? .assumed
        plan = TaskPlan(
            resolved,
            chunk: chunk,
            costs: costs,
            sizes: findings.sizes,
            speed: speed,
            workers: eligible.count
        )
        obstacle = try await api.store.unrunnable(
            model: model.name,
            digest: model.digest,
            requirement
        ).map { [count = plan.tasks.count] in WhyView($0, tasks: count) }
        decision =
            if isDryRun, !specification.isOneClass, let finishBy = specification.finishBy,
                let image = plan.costliestImage
            {
                try await api.store.groupDecision(
                    about: WantedPictures(
                        modelDigest: model.digest,
                        requirement: requirement,
                        image: image,
                        costs: costs,
                        finishBy: finishBy
                    )
                )
            } else { nil }
    }

    /// Refuses a job whose owner has no room for its pictures, one whose references are not there, and
    /// one that nothing can run where it `mustRun`.
    func check(mustRun: Bool) throws {
        try standing.check()
        try findings.check()
        guard mustRun, let obstacle else { return }
        throw CoordinatorProblem(.unrunnable, obstacle.sentence)
    }

    /// The plan as the API gives it.
    func view() -> PlanView {
        let speed = eligible.reduce(0) { $0 + $1.speed }
        var view = PlanView(
            name: resolved.name,
            model: model.name,
            modelDigest: model.digest,
            images: resolved.imageCount,
            tasks: plan.tasks.count,
            imagesPerTask: plan.tasks.map(\.imageCount).max() ?? 1,
            flops: plan.flops,
            estimatedSeconds: speed > 0 ? plan.flops / speed : nil,
            eligibleWorkers: eligible.count,
            unrunnable: obstacle.map { [$0] } ?? [],
            warnings: specification.warnings + standing.warnings,
            missingBlobs: findings.missing
        )
        view.group = decision?.ranks
        view.groupReason = decision?.reason
        return view
    }

    /// The job as the store takes it.
    func submission() -> JobSubmission {
        var submission = JobSubmission(
            owner: owner,
            key: key?.rawValue,
            name: resolved.name,
            specification: resolved.canonicalJSON,
            canonicalDigest: specification.digest.rawValue,
            modelName: model.name,
            modelDigest: model.digest,
            tasks: plan.tasks
        )
        submission.traceparent = TraceContext.current?.traceparent
        submission.tracestate = TraceContext.current?.state
        submission.priority = specification.priority
        submission.maxAttempts = specification.limits.maxAttempts
        submission.maxWorkers = specification.limits.maxWorkers
        submission.maxFailures = specification.limits.maxFailures
        submission.isSameClass = specification.isOneClass
        submission.draftSteps = specification.draftSteps
        submission.requirement = TaskRequirement(specification.requirements)
        submission.after = after
        submission.startAfter = specification.startAfter
        submission.finishBy = specification.finishBy
        submission.costliestImage = specification.finishBy == nil ? nil : plan.costliestImage
        submission.webhook = specification.webhook
        submission.blobs = specification.blobs.map(\.rawValue)
        submission.targetSeconds = targetSeconds
        return submission
    }

    // MARK: - Resolution

    /// Why a specification has no model.
    private struct UnknownModel: Error {
        let problem: SpecificationProblem

        init(_ message: String) {
            problem = SpecificationProblem(path: "model", message: message)
        }
    }

    private static func model(
        of specification: JobSpecification,
        _ store: FarmStore
    ) async throws -> Result<ModelRecord, UnknownModel> {
        guard let name = specification.model else {
            guard let model = try await store.defaultModel() else {
                return .failure(
                    UnknownModel(
                        "no model is known yet; start a worker, or name one that is recorded"
                    )
                )
            }
            return .success(model)
        }
        guard let model = try await store.model(named: name) else {
            let known = try await store.models().map(\.name).joined(separator: ", ")
            return .failure(
                UnknownModel(
                    "there is no model '\(name)'; known are: \(known.isEmpty ? "none" : known)"
                )
            )
        }
        return .success(model)
    }

    /// The jobs that have to succeed first, which the specification names by id or key.
    private static func dependencies(
        of specification: JobSpecification,
        owner: String,
        _ store: FarmStore
    ) async throws -> (jobs: [JobID], problems: [SpecificationProblem]) {
        var found: [JobID] = []
        var problems: [SpecificationProblem] = []
        for (index, name) in specification.after.enumerated() {
            let job =
                if let id = JobID(name) {
                    try await store.job(id)
                } else {
                    try await store.job(key: name, owner: owner)
                }
            if let job, job.owner == owner {
                if !found.contains(job.id) { found.append(job.id) }
            } else {
                problems.append(
                    SpecificationProblem(
                        path: "after[\(index)]",
                        message: "there is no job '\(name)'; give the id or key of one of yours"
                    )
                )
            }
        }
        return (found, problems)
    }
}

extension TaskRequirement {
    /// A job's requirements as the queue keeps them.
    init(_ needs: JobRequirements) {
        self.init()
        precision = needs.precision
        numericClass = needs.numericClass
        memoryBytes = needs.memoryBytes
        pool = needs.pool
        tags = needs.tags
        groupSize = needs.group ?? 1
        limits = needs.limits ?? []
    }
}

extension JobRequirements {
    /// What the queue keeps of a job's requirements, as the API gives them.
    init(_ requirement: TaskRequirement) {
        self.init(
            precision: requirement.precision,
            numericClass: requirement.numericClass,
            memoryBytes: requirement.memoryBytes,
            group: requirement.groupSize > 1 ? requirement.groupSize : nil,
            pool: requirement.pool,
            tags: requirement.tags,
            limits: requirement.limits.isEmpty ? nil : requirement.limits
        )
    }
}
