import FarmModel

/// Where a job's tasks stand among those of others.
struct Standing: Sendable, Hashable {
    var owner: String
    var priority: Int
    var isLifted = false

    /// Whether a task of it may take the place of one of another that renders: a lifted one of any that is
    /// not, else one of the same owner in a lower band.
    ///
    /// Priorities of two owners are not compared, here as anywhere: whoever says 100 would have the farm.
    func outranks(_ other: Standing) -> Bool {
        if isLifted != other.isLifted { return isLifted }
        return !isLifted && owner == other.owner
            && PriorityBand(of: priority) > PriorityBand(of: other.priority)
    }
}

/// Which tasks take the place of which: a pure function of what waits, of the workers and of what they
/// hold.
///
/// Each task that waits gets one place at most, and each worker one order, so that there are no more of
/// them than tasks that can go there.
struct Preemption: Sendable {
    var view: QueueView
    /// What workers hold, those that hold anything.
    var loads: [WorkerLoad]
    /// What can be claimed and outranks something that renders; any order.
    var waiting: [WaitingTask]
    var rules: PreemptionRules

    /// The places to make now.
    func decisions() -> [PreemptionDecision] {
        var decisions = decisionsAhead()
        var taken = Set(decisions.map(\.worker))
        var view = view
        var heads = Dictionary(uniqueKeysWithValues: view.heads.map { ($0.id, $0) })
        let loaded = Dictionary(uniqueKeysWithValues: loads.map { ($0.worker, $0) })
        // Heads of which a task that is for any worker found no place.
        var closed: Set<Int64> = []
        for task in waiting.sorted(by: Self.goesBefore) {
            guard taken.count < view.workers.count else { break }
            guard let head = heads[task.head.id], !closed.contains(head.id) else { continue }
            let fit = view.workers.values.filter {
                !taken.contains($0.id) && Self.fits($0, task, head, in: view)
            }
            // who has nothing to do takes it by itself
            let idle = fit.filter { loaded[$0.id] == nil }.min { $0.name < $1.name }
            let place =
                idle == nil
                ? fit.compactMap { worker in
                    loaded[worker.id].flatMap { self.place(for: task, at: $0, worker) }
                }.min { $0.goesBefore($1) } : nil
            guard let worker = idle?.id ?? place?.decision.worker else {
                if task.avoid.isEmpty { closed.insert(head.id) }
                continue
            }
            taken.insert(worker)
            heads[head.id]?.workersAtIt.insert(worker)
            view.noteUse(of: head, images: head.taskImages)
            if let place { decisions.append(place.decision) }
        }
        return decisions
    }

    /// What workers hold ahead that outranks what they render: it is there already.
    private func decisionsAhead() -> [PreemptionDecision] {
        loads.compactMap { load in
            guard !load.isOrdered, let running = load.running,
                let next = load.ahead.first(where: { $0.standing.outranks(running.standing) }),
                mayPark(running, at: load)
            else { return nil }
            return PreemptionDecision(
                worker: load.worker,
                task: next.task,
                victim: running,
                seconds: rules.seconds(toParkAfter: running)
            )
        }
    }

    /// A place at a worker, with what decides between places.
    private struct Place {
        var decision: PreemptionDecision
        /// What would be lost or is at risk, in seconds of one worker.
        var loss: Double
        var rest: Double

        func goesBefore(_ other: Place) -> Bool {
            if loss != other.loss { return loss < other.loss }
            let (own, others) = (decision.victim, other.decision.victim)
            let (band, otherBand) = (own?.band, others?.band)
            if let band, let otherBand, band != otherBand { return band < otherBand }
            if rest != other.rest { return rest < other.rest }
            return "\(decision.worker)" < "\(other.decision.worker)"
        }
    }

    /// The place that a worker has for a task: its next one where it is free before a park would pay, else
    /// that of what it renders; nil where it has none.
    private func place(
        for task: WaitingTask,
        at load: WorkerLoad,
        _ worker: WorkerCapability
    ) -> Place? {
        let standing = task.head.standing
        guard !load.isOrdered, load.isHeard, let running = load.running,
            load.ahead.allSatisfy({ standing.outranks($0.standing) })
        else { return nil }
        var decision = PreemptionDecision(
            worker: load.worker,
            task: task.task,
            promise: PreemptionDecision.Promise(
                head: task.head.id,
                number: task.number,
                ahead: load.ahead
            ),
            seconds: rules.seconds(toParkAfter: running)
        )
        if let rest = running.restSeconds, rest <= rules.seconds(toParkAfter: running) {
            return Place(decision: decision, loss: 0, rest: rest)
        }
        guard standing.outranks(running.standing), mayPark(running, at: load),
            let loss = running.lossSeconds
        else { return nil }
        decision.victim = running
        return Place(
            decision: decision,
            // a group's members all wait for what it repeats
            loss: loss * Double(max(1, worker.groupSize)),
            rest: running.restSeconds ?? .infinity
        )
    }

    /// Whether what a worker renders may be parked now: not before its quantum, nor too often, nor where it
    /// ends about as soon by itself.
    private func mayPark(_ running: HeldTask, at load: WorkerLoad) -> Bool {
        load.parks && load.isHeard && running.parks < rules.mostParks
            && running.ageSeconds >= rules.quantumSeconds && running.lossSeconds != nil
            && running.restSeconds.map { $0 > rules.seconds(toParkAfter: running) } ?? true
    }

    private static func fits(
        _ worker: WorkerCapability,
        _ task: WaitingTask,
        _ head: HeadView,
        in view: QueueView
    ) -> Bool {
        worker.refusal == nil && worker.promise == nil && worker.reservation == nil
            && !task.avoid.contains(worker.name) && view.exclusion(of: head, for: worker) == nil
    }

    private static func goesBefore(_ one: WaitingTask, _ other: WaitingTask) -> Bool {
        let (head, next) = (one.head, other.head)
        if head.isLifted != next.isLifted { return head.isLifted }
        let (band, nextBand) = (PriorityBand(of: head.priority), PriorityBand(of: next.priority))
        if band != nextBand { return band > nextBand }
        if head.servedAt != next.servedAt { return head.servedAt < next.servedAt }
        return (head.id, one.number) < (next.id, other.number)
    }
}

extension HeadView {
    var standing: Standing { Standing(owner: owner, priority: priority, isLifted: isLifted) }
}

/// What bounds preemption.
struct PreemptionRules: Sendable, Hashable {
    /// How long an attempt renders before it may be parked, in seconds.
    var quantumSeconds = 60.0
    /// How often a task is parked at most.
    var mostParks = 2
    /// How long it takes until a worker hears that it is to park, in seconds.
    var noticeSeconds = 15.0
    /// What writing a checkpoint and going on from it take, in seconds.
    var checkpointSeconds = 1.0

    /// How long parking takes: what ends sooner is waited for.
    func seconds(toParkAfter running: HeldTask) -> Double {
        noticeSeconds + (running.stepSeconds ?? 0) + checkpointSeconds
    }
}

/// A task that can be claimed.
struct WaitingTask: Sendable, Hashable {
    var task: TaskID
    var head: HeadView
    var number: Int
    /// Workers, by name, that failed it.
    var avoid: Set<String> = []
}

/// What a worker holds.
struct WorkerLoad: Sendable, Hashable {
    var worker: WorkerID
    /// Whether it parks what it is told to.
    var parks = true
    /// Whether it was heard of lately.
    var isHeard = true
    /// Whether it is to park something already, or was promised a task.
    var isOrdered = false
    /// What it renders.
    var running: HeldTask?
    /// What it has claimed and not begun.
    var ahead: [HeldTask] = []
}

/// A task that a worker holds.
struct HeldTask: Sendable, Hashable {
    var task: TaskID
    var attempt: AttemptID
    var standing: Standing
    /// How often it was parked.
    var parks = 0
    /// How long ago it was begun; 0 where it was not.
    var ageSeconds = 0.0
    /// What is left of it, as predicted; nil where nothing predicts it.
    var restSeconds: Double?
    /// What a step takes, as predicted, else as measured.
    var stepSeconds: Double?
    /// How many steps were done since its last checkpoint.
    var unsavedSteps = 0

    var band: PriorityBand { PriorityBand(of: standing.priority) }

    /// The work since its last checkpoint with the step that runs, which is lost should the worker end
    /// without one, in seconds; nil where nothing says what a step takes.
    var lossSeconds: Double? { stepSeconds.map { Double(unsavedSteps + 1) * $0 } }
}

/// A place for a task at a worker.
struct PreemptionDecision: Sendable, Hashable {
    var worker: WorkerID
    /// The task that is to take it.
    var task: TaskID
    /// Where the task waits; nil where the worker holds it already.
    var promise: Promise?
    /// What is to be parked; nil where the worker is about to be free.
    var victim: HeldTask?
    /// How long it takes until the place is there, in seconds.
    var seconds: Double

    /// What a worker is promised.
    struct Promise: Sendable, Hashable {
        var head: Int64
        var number: Int
        /// What the worker gives back that it had claimed ahead.
        var ahead: [HeldTask]
    }
}

/// The task that a worker claims before any other.
struct TaskPromise: Sendable, Hashable {
    var task: TaskID
    var head: Int64
    var number: Int
}
