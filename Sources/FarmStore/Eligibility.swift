import FarmModel

// What keeps a worker from tasks is decided here and nowhere else: `Placement` claims by it, and
// `WaitingDiagnosis` says by it why tasks wait.

/// What a task asks of the worker that takes it.
struct TaskDemand: Sendable, Hashable {
    var modelDigest: String
    var requirement: TaskRequirement
    /// The numeric class that all images of its job are to have, as asked for or once it is fixed.
    var numericClass: String?
    /// Whether its images may be of any class, one by one.
    var isOfAnyClass: Bool
    /// Whether a worker in no group can render it.
    var isRenderedAlone = true

    init(
        modelDigest: String,
        requirement: TaskRequirement = TaskRequirement(),
        numericClass: String? = nil,
        awaitsClass: Bool = false
    ) {
        self.modelDigest = modelDigest
        self.requirement = requirement
        self.numericClass = numericClass ?? requirement.numericClass
        isOfAnyClass = self.numericClass == nil && !awaitsClass
    }

    /// What a worker lacks first, in the order of ``lacks``; nil where it has everything.
    func lack(of worker: WorkerCapability) -> WaitingReason? {
        guard worker.modelDigest == modelDigest,
            requirement.pool == nil || requirement.pool == worker.pool,
            worker.tags.isSuperset(of: requirement.tags),
            isOfClass(worker) || isOfClass(groupOf: worker)
        else { return .noWorker }
        if let precision = requirement.precision, precision != worker.precision {
            return .noPrecision
        }
        if let memory = requirement.memoryBytes, memory > worker.memory { return .noMemory }
        return isOfClass(worker) && isRendered(byGroupOf: worker) ? nil : .noGroup
    }

    private func isOfClass(_ worker: WorkerCapability) -> Bool {
        numericClass == nil || numericClass == worker.numericClass
    }

    /// Whether a group that a worker alone could join makes pictures of the class, where the task
    /// asks for one.
    private func isOfClass(groupOf worker: WorkerCapability) -> Bool {
        guard let numericClass, requirement.groupSize > 1, worker.groupSize < 2 else {
            return false
        }
        return ClassOfGroup.canBe(
            numericClass,
            of: worker.numericClass,
            ranks: requirement.groupSize
        )
    }

    /// Whether as many workers render with it as the task asks for.
    ///
    /// A group that lacks members serves what asked for all of them where the class may be any. A
    /// task of one worker is for workers alone, for groups that serve those, too, and for every
    /// group where no worker alone can render it.
    private func isRendered(byGroupOf worker: WorkerCapability) -> Bool {
        let wanted = requirement.groupSize
        guard worker.groupSize != wanted else { return true }
        guard worker.groupSize > 1 else { return false }
        return wanted == 1
            ? worker.servesSingles || !isRenderedAlone : wanted == worker.wantedSize && isOfAnyClass
    }

    /// How many workers its class says render it together, where it is a group's; else as many as it
    /// asks for.
    var ranks: Int {
        requirement.groupSize > 1
            ? requirement.groupSize : numericClass.flatMap(ClassOfGroup.ranks) ?? 1
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
            numericClass: numericClass,
            groupSize: seat?.servedSize ?? (rendersAlone ? 1 : 0)
        )
        return TaskDemand(modelDigest: digest, requirement: requirement).lack(of: capability) == nil
    }
}

extension Sequence<WorkerRecord> {
    /// The workers whose speed a job's tasks are cut by: those that can run them and are not
    /// quarantined.
    package func able(toRun model: String, _ requirement: TaskRequirement) -> [WorkerRecord] {
        filter { $0.state != .quarantined && $0.canRun(model: model, requirement) }
    }

    /// The median of the speeds that were told, in floating point operations a second; nil where none
    /// was.
    package var medianSpeed: Double? {
        map(\.speed).medianSpeed
    }
}

extension Sequence<Double> {
    /// The median of the speeds that are known, in floating point operations a second; nil where none
    /// is.
    var medianSpeed: Double? {
        let speeds = filter { $0 > 0 }.sorted()
        return speeds.isEmpty ? nil : speeds[speeds.count / 2]
    }
}

extension HeadView {
    var demand: TaskDemand {
        var demand = TaskDemand(
            modelDigest: modelDigest,
            requirement: requirement,
            numericClass: numericClass,
            awaitsClass: awaitsClass
        )
        demand.isRenderedAlone = isRenderedAlone
        return demand
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
        if let reason = exclusionForLong(of: head, for: worker) { return reason }
        if let bound = bound(of: head) { return bound.reason }
        if head.isAtLimit, !head.workersAtIt.contains(worker.id) { return .limit }
        return nil
    }

    /// The same, but for limits and quotas, which free by themselves.
    private func exclusionForLong(
        of head: HeadView,
        for worker: WorkerCapability
    ) -> WaitingReason? {
        if let lack = lack(of: worker, for: head.demand, of: head.job) { return lack }
        if let reservation = worker.reservation,
            !reservation.admits(cost: head.taskCost, now: now)
        {
            return .noGroup
        }
        return isClosed(to: worker) ? .poolPaused : nil
    }

    /// The workers, by name, that tell whether a task of a head is for any worker again: it is when
    /// all of them failed it.
    ///
    /// They are all that could run it, or one that failed nothing which can be claimed now: while
    /// that one is there no such task is for those that failed it, however many others there are.
    func able(toRun head: HeadView) -> [String] {
        guard !head.avoided.isEmpty else { return [] }
        var names: [String] = []
        for worker in workers.values
        where worker.refusal == nil && exclusionForLong(of: head, for: worker) == nil {
            guard head.avoided.contains(worker.name) else { return [worker.name] }
            names.append(worker.name)
        }
        return names
    }

    /// Takes away the blocks of the jobs of which no other worker can run anything: a sole worker is
    /// kept from nothing but from the audit of its own pictures.
    mutating func liftVainBlocks(of heads: [HeadView]) {
        for head in heads
        where head.owner != FarmOwner.audits && blocks.contains(where: { $0.job == head.job }) {
            let isOpen = workers.values.contains {
                $0.refusal == nil && lack(of: $0, for: head.demand, of: head.job) == nil
            }
            if !isOpen { blocks = blocks.filter { $0.job != head.job } }
        }
    }

    /// Whether a worker in no group can render what is asked for.
    func isRenderedAlone(_ demand: TaskDemand, of job: JobID? = nil) -> Bool {
        workers.values.contains {
            $0.refusal == nil && !$0.isMember && lack(of: $0, for: demand, of: job) == nil
        }
    }

    /// The head with whether a worker in no group can render its tasks: looked at only where there
    /// is a group that would have to do so else.
    func withAlone(_ head: HeadView) -> HeadView {
        guard head.requirement.groupSize == 1,
            workers.values.contains(where: { $0.groupSize > 1 && !$0.servesSingles })
        else { return head }
        var head = head
        head.isRenderedAlone = isRenderedAlone(head.demand, of: head.job)
        return head
    }

    /// The answer to a claim for which there is nothing.
    func refusal(of claim: TaskClaim) -> ClaimOutcome {
        guard let worker = workers[claim.worker], claim.isOf(worker) else {
            return .unknownWorker
        }
        if let state = worker.refusal { return .none(.workerState(state)) }
        if isFarmPaused { return .none(.farmPaused) }
        if pausedPools.contains(worker.pool) { return .none(.poolPaused) }
        if !claim.knowsSeat(of: worker) { return .none(.inGroup) }
        if worker.isMember, worker.groupSize == 0 || worker.reservation != nil {
            return .none(.inGroup)
        }
        var lacking: WaitingReason?
        for head in heads {
            guard let reason = exclusion(of: head, for: worker) else {
                return .none(.nothingWaits)
            }
            lacking = lacking ?? reason
        }
        guard let lacking else { return .none(.nothingWaits) }
        return .none(
            .notEligible(
                lacking,
                detail: "\(heads.count) jobs wait and this worker can run none of them "
                    + "(\(lacking.rawValue))"
            )
        )
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
