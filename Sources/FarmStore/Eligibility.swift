import FarmModel

// What keeps a worker from tasks is decided here and nowhere else: `Placement` claims by it, and
// `WaitingDiagnosis` says by it why tasks wait.

/// What a task asks of the worker that takes it.
struct TaskDemand: Sendable, Hashable {
    var modelDigest: String
    var requirement: TaskRequirement
    /// The numeric class that all images of its job are to have, as asked for or once it is fixed.
    var numericClass: String?

    init(
        modelDigest: String,
        requirement: TaskRequirement = TaskRequirement(),
        numericClass: String? = nil
    ) {
        self.modelDigest = modelDigest
        self.requirement = requirement
        self.numericClass = numericClass ?? requirement.numericClass
    }

    /// What a worker lacks first, in the order of ``lacks``; nil where it has everything.
    func lack(of worker: WorkerCapability) -> WaitingReason? {
        guard worker.modelDigest == modelDigest,
            requirement.pool == nil || requirement.pool == worker.pool,
            worker.tags.isSuperset(of: requirement.tags),
            numericClass == nil || numericClass == worker.numericClass
        else { return .noWorker }
        if let precision = requirement.precision, precision != worker.precision {
            return .noPrecision
        }
        if let memory = requirement.memoryBytes, memory > worker.memory { return .noMemory }
        if requirement.groupSize > 1 { return .noGroup }
        return nil
    }

    /// What a worker may lack, in the order in which it is looked at: who lacks a later one has
    /// all that comes before it.
    static let lacks: [WaitingReason] = [.noWorker, .noPrecision, .noMemory, .noGroup]
}

extension WorkerRecord {
    /// Whether the worker has all that a job's tasks ask for, whatever its state.
    package func canRun(model digest: String, _ requirement: TaskRequirement) -> Bool {
        let capability = WorkerCapability(
            id: id,
            name: name,
            modelDigest: modelDigest,
            precision: precision,
            memory: memory,
            pool: pool,
            tags: Set(tags),
            numericClass: numericClass
        )
        return TaskDemand(modelDigest: digest, requirement: requirement).lack(of: capability) == nil
    }
}

extension HeadView {
    var demand: TaskDemand {
        TaskDemand(
            modelDigest: modelDigest,
            requirement: requirement,
            numericClass: numericClass
        )
    }

    /// Whether as many workers are at it as may be: only they take more of it.
    var isAtLimit: Bool { maxWorkers.map { workersAtIt.count >= $0 } ?? false }

    /// Whether it goes before another one of the same owner, or of those that were lifted, for a
    /// worker that has the conditions of some jobs at hand.
    func goesBefore(_ other: HeadView, _ warm: Set<JobID> = []) -> Bool {
        if isLifted != other.isLifted { return isLifted }
        if priority != other.priority { return priority > other.priority }
        let isWarm = warm.contains(job)
        return isWarm == warm.contains(other.job) ? id < other.id : isWarm
    }
}

extension QueueView {
    /// Why a worker cannot claim from a head now; nil where it can.
    func exclusion(of head: HeadView, for worker: WorkerCapability) -> WaitingReason? {
        if let lack = lack(of: worker, for: head.demand, of: head.job) { return lack }
        if isClosed(to: worker) { return .poolPaused }
        if head.isAtLimit, !head.workersAtIt.contains(worker.id) { return .limit }
        return nil
    }

    /// What a worker lacks for a task, or for any of the job's, from which it may be kept.
    func lack(
        of worker: WorkerCapability,
        for demand: TaskDemand,
        of job: JobID?
    ) -> WaitingReason? {
        if let job, blocks.contains(WorkerBlock(job: job, worker: worker.name)) {
            return .noWorker
        }
        return demand.lack(of: worker)
    }

    /// Whether a pause keeps a worker from everything.
    func isClosed(to worker: WorkerCapability) -> Bool {
        isFarmPaused || pausedPools.contains(worker.pool)
    }
}
