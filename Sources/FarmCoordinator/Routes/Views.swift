import FarmModel
import FarmStore
import Telemetry

// The store's records as the API gives them.

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
        tasks = TaskTally(
            total: job.taskCount,
            live: job.liveTaskCount,
            leased: job.leasedTaskCount
        )
        let requirements = JobRequirements(job.requirement)
        self.requirements = requirements == JobRequirements() ? nil : requirements
        isLifted = job.isLifted ? true : nil
        startAfter = job.startAfter
        finishBy = job.finishBy
        after = job.after.isEmpty ? nil : job.after
        numericClass = job.numericClass
        reason = job.reason
        trace = TraceContext(traceparent: job.traceparent)?.traceID
        cost = job.cost
        eventNumber = job.eventCount
    }
}

extension ImageView {
    init(_ image: ImageRecord, of job: CachedJob) {
        self.init(
            id: image.id,
            index: image.index,
            name: job.name(at: image.index),
            state: image.state,
            digest: image.output?.digest,
            size: image.output?.size,
            failure: image.failure,
            settings: job.resolved?.settings(at: image.index)
        )
        task = image.task
        deliveredAt = image.output?.deliveredAt
        attempt = image.output?.attempt
        numericClass = image.output?.numericClass
        doubt = image.output?.doubt
        draft = image.draft
    }
}

extension TaskView {
    init(_ task: TaskRecord, progress: StepView?) {
        self.init(
            id: task.id,
            state: task.state,
            attempts: task.attempts,
            worker: task.lease?.worker,
            leaseDeadline: task.lease?.deadline,
            failure: task.failure
        )
        job = task.job
        number = task.number
        firstIndex = task.firstIndex
        imageCount = task.imageCount
        undelivered = task.undelivered
        cost = task.cost
        parks = task.parks > 0 ? task.parks : nil
        parked = task.state.isFinal ? nil : task.parked
        workerName = progress?.workerName
        self.progress = progress
    }
}

extension WhyView {
    /// Why a task waits, and where it was parked, if it was.
    init(_ cause: WaitingCause, of task: TaskRecord) {
        self.init(cause, task: task.id)
        if let parked = task.parked { sentence += "; " + parked.sentence }
    }
}

extension AttemptView {
    init(_ attempt: AttemptRecord, progress: StepView?) {
        self.init(
            id: attempt.fence.attempt,
            task: attempt.fence.task,
            epoch: attempt.fence.epoch,
            worker: attempt.worker,
            workerName: attempt.workerName,
            outcome: attempt.outcome.flatMap(AttemptEnding.init(rawValue:)),
            startedAt: attempt.startedAt,
            finishedAt: attempt.finishedAt,
            failure: attempt.failure
        )
        job = attempt.job
        parked = attempt.parked
        report = AttemptReport(
            stepsComputed: Int(attempt.totals.stepsComputed),
            seconds: attempt.totals.busySeconds,
            conditionsComputed: attempt.totals.conditionsComputed,
            conditionsFound: attempt.totals.conditionsFound
        )
        self.progress = progress
    }
}

extension WorkerView {
    /// A worker as the API gives it.
    ///
    /// - Parameters:
    ///   - worker: The worker.
    ///   - live: What it said last of what it runs.
    ///   - owner: Whose tasks it tells of; nil for those of all owners.
    init(_ worker: WorkerRecord, _ live: LiveFarm, for owner: String?) {
        self.init(
            id: worker.id,
            name: worker.name,
            state: worker.state,
            desiredState: worker.desiredState,
            pool: worker.pool,
            tags: worker.tags,
            model: worker.modelName,
            modelDigest: worker.modelDigest,
            precision: worker.precision,
            numericClass: worker.numericClass,
            memoryBytes: worker.memory,
            engine: worker.engine,
            registeredAt: worker.registeredAt,
            lastSeenAt: worker.lastSeenAt,
            leasedTasks: worker.leasedTasks,
            failuresInARow: worker.failuresInARow
        )
        stateReason = worker.stateReason
        group = worker.seat?.groupName
        rank = worker.seat?.rank
        speed = worker.speed > 0 ? worker.speed : nil
        machine = try? FarmJSON.decode(from: worker.info)
        running = worker.leases.filter { owner == nil || $0.owner == owner }.map { lease in
            // Another coordinator may have heard the last heartbeat; its row tells the step.
            live.step(of: lease.fence.attempt)
                ?? StepView(
                    AttemptProgress(
                        fence: lease.fence,
                        image: lease.imageIndex,
                        step: lease.step,
                        steps: lease.steps,
                        stepSeconds: lease.stepSeconds
                    ),
                    worker: worker.id,
                    workerName: worker.name
                )
        }
    }
}

extension DeletePreview {
    init(_ job: JobRecord, _ preview: DeletionPreview, isDeleted: Bool) {
        self.init(
            job: job.id,
            name: job.name,
            state: preview.state,
            images: preview.images,
            outputs: preview.outputs,
            outputBytes: preview.outputBytes,
            attempts: preview.attempts,
            events: Int(preview.events),
            dependents: preview.dependents,
            isDeleted: isDeleted
        )
    }
}

extension CheckpointOffer {
    init?(_ record: CheckpointRecord) {
        guard let digest = BlobDigest(rawValue: record.digest) else { return nil }
        self.init(
            imageIndex: record.imageIndex,
            digest: digest,
            step: record.step,
            numericClass: record.numericClass
        )
    }
}
