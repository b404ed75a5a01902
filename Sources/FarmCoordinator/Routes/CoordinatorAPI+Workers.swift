import FarmModel
import FarmStore
import HTTPTypes
import Hummingbird
import NIOCore
import Telemetry
import Tracing

/// Where workers wait for tasks.
typealias FarmDesk = ClaimDesk<WorkerCapabilityKey, ClaimWish, [ClaimedTask], NoTask>

/// What one worker claims.
struct ClaimWish: Sendable {
    var worker: WorkerID
    /// The registration that claims; 0 where the worker does not say it.
    var epoch: Int64 = 0
    var limit: Int
    /// Jobs whose computed conditions the worker has at hand.
    var warm: Set<JobID> = []
    /// The group that it says it would render with as its first rank; nil alone.
    var lead: GroupEpoch?
}

extension CoordinatorAPI {
    /// The most tasks that one claim gives.
    private static let mostTasks = 16

    /// How long members of a group that forms wait between heartbeats, in seconds.
    private static let formingHeartbeat = 1.0

    func addWorkerRoutes(to table: RouteTable) {
        table.on(.post, "/v1/workers", for: .joiningOr(.least(.worker))) { request, context in
            try await register(try await request.message(), by: context.bearer())
        }
        addCredentialRoutes(to: table)
        table.on(.post, "/v1/workers/{worker}/heartbeat", for: .least(.worker)) {
            // Previews travel in it.
            let beat: HeartbeatRequest = try await $0.message(limit: 4 << 20)
            return try await heartbeat($1.part("worker") { WorkerID($0) }, beat)
        }
        table.on(.post, "/v1/workers/{worker}/claim", for: .least(.worker)) {
            try await claim($1.part("worker") { WorkerID($0) }, $0.message(), $1)
        }
        table.on(.post, "/v1/workers/{worker}/leave", query: ["epoch"], for: .least(.worker)) {
            request,
            context in
            let worker = try await workers.worker(context.part("worker") { WorkerID($0) })
            let epoch = try request.integer("epoch") ?? worker.epoch
            if try await store.leaveWorker(worker.id, epoch: epoch) != nil {
                live.forget(of: worker.id, except: [])
                workers.forget(worker.id)
                warm.forget(worker.id)
            }
            return Response(status: .noContent)
        }
    }

    // MARK: - Registration

    private func register(
        _ request: RegistrationRequest,
        by caller: Caller
    ) async throws -> Response {
        let own = RegistrationRequest.currentProtocol
        guard request.protocolVersion == own else {
            throw CoordinatorProblem(
                .malformed,
                "the worker speaks protocol \(request.protocolVersion), this coordinator \(own); "
                    + "upgrade the \(request.protocolVersion < own ? "worker" : "coordinator")"
            )
        }
        guard request.memoryBytes >= 0 else {
            throw CoordinatorProblem(
                .malformed,
                "'memory_bytes' is \(request.memoryBytes); give the worker's memory, or 0"
            )
        }
        guard Self.isName(request.model.precision) else {
            throw CoordinatorProblem(
                .malformed,
                "'model.precision' is a name of 1…32 letters, digits, '-' and '_', as int8"
            )
        }
        try Self.check(request.group, request.modelMemory)
        try Self.check(request.model.costs)
        try Self.checkMetrics(of: request.machine)
        let speed = Self.speed(request.speed) ?? 0
        let model = request.model
        var registration = WorkerRegistration(
            name: request.name,
            modelName: model.name,
            modelDigest: model.digest,
            precision: model.precision
        )
        if let instance = request.instance, !instance.isEmpty { registration.instance = instance }
        registration.numericClass = model.numericClass
        registration.speed = speed
        registration.pool = request.pool
        registration.memory = request.memoryBytes
        registration.tags = request.tags
        registration.modelDefaults = try FarmJSON.text(model.defaults)
        if let costs = model.costs { registration.costConstants = try FarmJSON.text(costs) }
        registration.engine = request.engine
        registration.group = request.group
        registration.modelMemory = request.modelMemory
        registration.rendersAlone = request.rendersAlone
        registration.parks = request.parks
        registration.actor = caller.owner
        registration.admission = try admission(of: caller, request)
        if let machine = request.machine { registration.info = try FarmJSON.text(machine) }
        let worker = try await Self.answeringRefusals {
            try await store.registerWorker(registration)
        }
        workers.note(
            KnownWorker(
                id: worker.id,
                name: worker.name,
                epoch: worker.epoch,
                key: WorkerCapabilityKey(
                    modelDigest: model.digest,
                    precision: model.precision,
                    numericClass: model.numericClass,
                    pool: request.pool,
                    tags: request.tags.sorted(),
                    memory: request.memoryBytes
                ),
                speed: speed
            )
        )
        warm.note(request.warmArtifacts, of: worker.id)
        live.forget(of: worker.id, except: [])
        return try Response(
            message: RegistrationAnswer(
                id: worker.id,
                epoch: worker.epoch,
                name: worker.name,
                model: worker.modelName,
                leaseSeconds: settings.timing.lease.inSeconds,
                heartbeatSeconds: settings.timing.heartbeat.inSeconds,
                credential: caller.isJoining ? credentialTerms : nil
            ),
            status: .created
        )
    }

    /// Refuses an offer to join groups that none could be made of.
    private static func check(_ offer: GroupOffer?, _ memory: ModelMemory?) throws {
        if let size = offer?.size, !GroupOffer.sizes.contains(size) {
            throw CoordinatorProblem(
                .malformed,
                "'group.size' is a whole number 2…64, not \(size)"
            )
        }
        if let name = offer?.name {
            guard GroupOffer.isName(name) else {
                throw CoordinatorProblem(
                    .malformed,
                    "'group.name' is a text of 1…100 characters that is no id"
                )
            }
            guard offer?.size != nil else {
                throw CoordinatorProblem(.malformed, "'group.name' takes a 'group.size'")
            }
        }
        if let most = memory?.mostRanks, most < 1 {
            throw CoordinatorProblem(
                .malformed,
                "'model_memory.most_ranks' is at least 1, not \(most)"
            )
        }
    }

    /// Whether a text is short and plain enough for a label of a metric.
    private static func isName(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// A measured speed, or nil where it is none that anything could be predicted with.
    private static func speed(_ told: Double?) -> Double? {
        told.flatMap { (1...1e24).contains($0) ? $0 : nil }
    }

    // MARK: - Heartbeats

    private func heartbeat(
        _ id: WorkerID,
        _ beat: HeartbeatRequest
    ) async throws -> Response {
        guard beat.log.count <= HeartbeatRequest.mostLogLines else {
            throw CoordinatorProblem(
                .tooLarge,
                "a heartbeat carries at most \(HeartbeatRequest.mostLogLines) lines of log"
            )
        }
        guard case .answer(let record) = try await store.heartbeat(worker: id, beat) else {
            workers.forget(id)
            throw WorkerDirectory.unknown(id)
        }
        let worker = try await workers.worker(id)
        if let artifacts = beat.warmArtifacts { warm.note(artifacts, of: id) }
        // The first rank computes at the speed of its group.
        let lead = beat.group.flatMap { $0.rank == 0 ? $0.speed : nil }
        if let speed = Self.speed(lead ?? beat.speed) { workers.note(speed: speed, of: id) }
        workers.note(group: record.group?.group, of: id)
        let current = Set(record.extended.map(\.attempt))
        for progress in beat.running where current.contains(progress.fence.attempt) {
            guard let job = try await jobOf(progress.fence.task) else { continue }
            live.note(
                StepView(progress, worker: id, workerName: worker.name),
                of: job,
                preview: progress.preview
            )
        }
        live.forget(of: id, except: current)
        if !beat.log.isEmpty { try await store.appendLog(worker: id, beat.log) }
        // Last, since a heartbeat that fails comes again with the same figures.
        metrics.note(beat, in: worker.key.precision, answeredWith: record)
        var answer = HeartbeatAnswer(
            cancel: record.cancel,
            stale: record.stale,
            desiredState: record.desiredState,
            stateReason: record.stateReason,
            heartbeatSeconds: record.isForming
                ? min(settings.timing.heartbeat.inSeconds, Self.formingHeartbeat)
                : settings.timing.heartbeat.inSeconds,
            group: record.group
        )
        answer.park = record.park.isEmpty ? nil : record.park
        return try Response(message: answer)
    }

    /// The job of a task that is leased: remembered since its claim, else looked up.
    private func jobOf(_ task: TaskID) async throws -> JobID? {
        if let job = live.job(of: task) { return job }
        guard let job = try await store.task(task)?.job else { return nil }
        live.noteClaim(of: task, in: job)
        return job
    }

    // MARK: - Claims

    /// Answers with tasks as soon as there are any, or with none when the wait is over.
    private func claim(
        _ id: WorkerID,
        _ request: ClaimRequest,
        _ context: Context
    ) async throws -> Response {
        if let shortage = try await reserve.shortage() {
            return try Response(
                message: ClaimAnswer(
                    reason: .blobStoreFull,
                    detail: shortage.sentence,
                    retryAfterSeconds: 15
                )
            )
        }
        let worker = try await workers.worker(id)
        let wait = min(.clamped(seconds: request.waitSeconds), settings.timing.longestWait)
        let connection = WaitingConnection(context.channel)
        let outcome = try await desk.claim(
            ClaimWish(
                worker: id,
                epoch: request.epoch,
                limit: min(max(request.limit, 1), Self.mostTasks),
                warm: warm.jobs(of: id),
                lead: request.lead
            ),
            in: worker.key,
            wait: wait
        ) { ticket in
            await connection.watch { desk.abandon(ticket) }
        }
        let hasGone = connection.release()
        switch outcome {
        case .granted([]): return try Response(message: ClaimAnswer(.inGroup, isWaiting: false))
        case .granted(let tasks):
            let grant = Timestamp.now()
            guard !hasGone else {
                // The answer would reach nobody; another worker has the tasks at once.
                for task in tasks { _ = try? await store.releaseAttempt(task.fence) }
                return try Response(message: ClaimAnswer(reason: .noTask))
            }
            let assigned: [TaskAssignment]
            do {
                assigned = try await assignments(tasks, worker, grantedAt: grant)
            } catch {
                for task in tasks { _ = try? await store.releaseAttempt(task.fence) }
                throw error
            }
            guard !assigned.isEmpty else {
                return try Response(message: ClaimAnswer(reason: .noTask))
            }
            return try Response(message: ClaimAnswer(tasks: assigned))
        case .nothing(let reason):
            return try Response(message: ClaimAnswer(reason, isWaiting: wait > .zero))
        case .refused(let problem):
            workers.forget(id)
            throw problem
        case nil:
            return try Response(
                message: ClaimAnswer(reason: .shuttingDown, retryAfterSeconds: 1)
            )
        }
    }

    /// Tries the claims of workers that are equal to the queue; the store makes one statement of
    /// those that come together.
    static func claim(
        _ wishes: [ClaimWish],
        from store: FarmStore,
        _ metrics: FarmMetrics
    ) async throws -> [FarmDesk.Outcome] {
        @Sendable func one(_ wish: ClaimWish) async throws -> FarmDesk.Outcome {
            let start = ContinuousClock.now
            var found: [ClaimedTask] = []
            // One that the database refuses took its time, too.
            defer { metrics.note(found, claimedBy: wish, in: .now - start) }
            let outcome = try await store.claimTasks(
                worker: wish.worker,
                epoch: wish.epoch,
                limit: wish.limit,
                warm: wish.warm,
                lead: wish.lead
            )
            if case .tasks(let tasks) = outcome { found = tasks }
            return switch outcome {
            case .unknownWorker: .refused(WorkerDirectory.unknown(wish.worker))
            case .tasks: .granted(found)
            // A member is told at once and asks in its heartbeat what it is to be.
            case .none(.inGroup): .granted([])
            case .none(let reason): .nothing(reason)
            }
        }
        if wishes.count == 1 { return [try await one(wishes[0])] }
        return try await withThrowingTaskGroup(of: (Int, FarmDesk.Outcome).self) { group in
            for (index, wish) in wishes.enumerated() {
                group.addTask { (index, try await one(wish)) }
            }
            var outcomes = [FarmDesk.Outcome?](repeating: nil, count: wishes.count)
            for try await (index, outcome) in group { outcomes[index] = outcome }
            return outcomes.compactMap(\.self)
        }
    }

    /// What the worker needs to do the tasks; a job that nobody can read is given up with them.
    private func assignments(
        _ tasks: [ClaimedTask],
        _ worker: KnownWorker,
        grantedAt grant: Timestamp
    ) async throws -> [TaskAssignment] {
        var assignments: [TaskAssignment] = []
        for task in tasks {
            let job = try await jobs.job(task.job)
            guard let resolved = job.resolved else {
                try await store.giveUpJob(
                    task.job,
                    reason: "its specification cannot be read by this release; submit it again"
                )
                continue
            }
            live.noteClaim(of: task.fence.task, in: task.job)
            holders.note(task.fence.attempt, of: worker.id)
            // A copy of a picture is rendered to its end.
            let draftSteps =
                task.owner == FarmOwner.audits || resolved.specification.draftSteps == nil
                ? nil : try await store.draftSteps(of: task.fence.task)
            var assignment = TaskAssignment(
                fence: task.fence,
                job: task.job,
                leaseSeconds: settings.timing.lease.inSeconds,
                images: task.images.map { image in
                    var assignment = ImageAssignment(
                        id: image.id,
                        index: image.index,
                        settings: resolved.settings(at: image.index)
                    )
                    assignment.draftSteps = draftSteps
                    return assignment
                }
            )
            assignment.jobName = job.name
            assignment.owner = job.owner
            assignment.numericClass = task.numericClass
            var trace = job.trace
            if task.owner == FarmOwner.audits {
                // Nothing tells a worker that it is audited.
                guard let original = try await store.original(ofCopy: task.job) else {
                    try await store.giveUpJob(task.job, reason: "what it copies is gone")
                    continue
                }
                assignment.job = original.job
                assignment.owner = original.owner
                assignment.numericClass = original.numericClass
                trace = try? await jobs.job(original.job).trace
            }
            if worker.speed > 0, task.cost > 0 {
                let predicted = task.cost / worker.speed
                assignment.predictedSeconds = predicted
                assignment.timeLimitSeconds = CostModel.timeLimit(predictedSeconds: predicted)
            }
            // Only an attempt before this one can have left checkpoints.
            if task.fence.epoch > 1 {
                assignment.checkpoints = try await store.checkpoints(of: task.fence.task)
                    .compactMap { CheckpointOffer($0) }
                    // What was saved and not told of as a draft leaves no step to make it at.
                    .filter { offer in draftSteps.map { offer.step < $0 } ?? true }
            }
            if let predicted = assignment.predictedSeconds, assignment.checkpoints.isEmpty,
                draftSteps == nil
            {
                metrics.predictions.note(predicted, of: task.fence.attempt)
            }
            let place = traceClaim(of: assignment, task, worker, in: trace, grant)
            assignment.traceparent = place?.traceparent
            assignment.tracestate = place?.state
            assignments.append(assignment)
        }
        return assignments
    }

    /// Makes a claim a span of its job's trace, and returns where its worker goes on.
    private func traceClaim(
        of assignment: TaskAssignment,
        _ task: ClaimedTask,
        _ worker: KnownWorker,
        in trace: TraceContext?,
        _ grant: Timestamp
    ) -> TraceContext? {
        guard settings.tracer.isOn else { return trace }
        var attributes: SpanAttributes = [
            "dreamfarm.job.id": "\(assignment.job)", "dreamfarm.task.id": "\(task.fence.task)",
            "dreamfarm.attempt.id": "\(task.fence.attempt)", "dreamfarm.worker.id": "\(worker.id)",
            "dreamfarm.worker.name": "\(worker.name)", "dreamfarm.owner": "\(assignment.owner)",
        ]
        attributes["dreamfarm.task.wait_seconds"] = task.waitSeconds
        let span = settings.tracer.span("claim", in: trace, .producer, at: grant, attributes)
        span.end()
        return span.context.trace
    }
}
