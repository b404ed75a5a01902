import FarmModel
import Logging

/// What every part of a worker uses.
struct WorkerContext: Sendable {
    let calls: any CoordinatorCalls
    let renderer: any ImageRenderer
    let configuration: WorkerConfiguration
    let desk: WorkerDesk
    /// Its seat in groups; empty for one that takes part in none.
    let seat = GroupSeat()
    let metrics: WorkerMetrics
    let ledger: WorkerLedger
    let spool: PictureSpool
    let conditions: ConditionStore
    let preparation: TaskPreparation
    let retrying: Retrying
    let clock: any Clock<Duration>
    let logger: Logger

    init(
        calls: any CoordinatorCalls,
        renderer: any ImageRenderer,
        configuration: WorkerConfiguration,
        clock: any Clock<Duration>,
        logger: Logger
    ) {
        self.calls = calls
        self.renderer = renderer
        self.configuration = configuration
        self.clock = clock
        self.logger = logger
        let data = configuration.dataFolder
        let desk = WorkerDesk(room: configuration.spoolBytes)
        self.desk = desk
        metrics = configuration.metrics ?? WorkerMetrics()
        ledger = metrics.ledger
        spool = PictureSpool(
            folder: data + "/spool/" + configuration.instance.id,
            memoryLimit: configuration.spoolMemory,
            logger: logger
        )
        conditions = ConditionStore(
            renderer: renderer,
            files: FileCache(folder: data + "/conditions", limit: configuration.conditionBytes),
            calls: calls
        )
        retrying = Retrying(
            clock: clock,
            first: configuration.backoff,
            largest: configuration.largestBackoff,
            logger: logger
        )
        preparation = TaskPreparation(
            calls: calls,
            renderer: renderer,
            references: ReferenceCache(
                files: FileCache(
                    folder: data + "/references",
                    limit: configuration.referenceBytes
                ),
                calls: calls
            ),
            conditions: conditions,
            checkpointFolder: data + "/spool/" + configuration.instance.id,
            retrying: retrying,
            isEnding: { desk.drain != nil || desk.desired != .run }
        )
        metrics.reader.read { [memory = configuration.memory] in
            var readings = desk.readings
            readings.memory = memory
            readings.freeMemory = renderer.freeMemory
            return readings
        }
    }

    /// The renderer of a worker that takes part in groups; nil for one that does not.
    var member: GroupRenderer? { renderer as? GroupRenderer }

    /// A claimed task as this worker holds it.
    func begin(_ task: TaskAssignment) -> HeldAttempt {
        let trace = AttemptTrace(task, configuration.tracer, worker: configuration.name)
        return HeldAttempt(task, trace)
    }

    /// The logger with the ids of an attempt.
    func logger(of attempt: HeldAttempt) -> Logger {
        var logger = logger
        logger[metadataKey: "worker"] = desk.registration.map { "\($0.id)" }
        logger[metadataKey: "job"] = "\(attempt.task.job)"
        logger[metadataKey: "owner"] = "\(attempt.task.owner)"
        logger[metadataKey: "pool"] = "\(configuration.pool)"
        logger[metadataKey: "task"] = "\(attempt.fence.task)"
        logger[metadataKey: "attempt"] = "\(attempt.fence.attempt)"
        return logger
    }

    /// Tells what became of an attempt after everything of it that was posted before.
    func post(_ end: AttemptEnd, of attempt: HeldAttempt) {
        desk.post(Parcel(attempt: attempt, content: .end(end)))
    }

    /// Drops an attempt whose lease is over, with all that was to be told of it.
    func lose(_ attempt: HeldAttempt) async {
        attempt.stop(.lost)
        if let task = desk.withdraw(attempt) { await preparation.letGo(task) }
        let isNews = desk.held(attempt.fence.attempt) != nil
        drop(attempt)
        let lost = attempt.takeLostSeconds()
        ledger.note {
            if lost.madeWay {
                $0.lostToPreemptionSeconds += lost.seconds
            } else {
                $0.lostToFailureSeconds += lost.seconds
            }
        }
        guard isNews else { return }
        ledger.count { $0.stale += 1 }
        logger(of: attempt).notice("Dropped an attempt whose lease is over")
    }

    /// Lets an attempt go with all that was to be told of it.
    func drop(_ attempt: HeldAttempt) {
        attempt.trace.end()
        for parcel in desk.drop(attempt) {
            if case .picture(let picture, _, _) = parcel.content { spool.forget(picture) }
        }
    }
}
