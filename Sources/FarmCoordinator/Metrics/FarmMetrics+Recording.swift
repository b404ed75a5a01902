import FarmModel
import FarmStore
import HTTPTypes
import Prometheus

extension FarmMetrics {
    /// Notes that this coordinator has a duty, or no longer.
    func note(_ duty: Duty, isHeld: Bool) {
        duties.set(isHeld ? 1 : 0, duty.name)
        if duty == .gauges, !isHeld { database.clear() }
    }

    /// Makes every route's series be there before its first request.
    func expect(_ routes: [RouteDeclaration]) {
        for path in Set(routes.map(\.path)) {
            for status in [2, 4, 5] { requests.observe(0, times: 0, path, "\(status)xx") }
        }
    }

    /// Notes a request that was answered.
    ///
    /// - Parameters:
    ///   - path: The path of its route with its parts in braces; nil where no route has it.
    ///   - status: What it was answered.
    ///   - duration: How long that took.
    func note(requestOf path: String?, _ status: HTTPResponse.Status, _ duration: Duration) {
        requests.observe(duration.inSeconds, path ?? "other", "\(status.code / 100)xx")
    }

    // MARK: - Claims

    /// Notes a try of a claim and what it found.
    func note(_ tasks: [ClaimedTask], claimedBy wish: ClaimWish, in duration: Duration) {
        claimDuration.observe(duration.inSeconds)
        for task in tasks {
            placements.add(1, wish.warm.contains(task.job) ? "warm" : "cold")
            if let wait = task.waitSeconds { taskWait.observe(wait) }
        }
    }

    /// Notes the end of an attempt, and with the report of one that succeeded how right its prediction
    /// was.
    func note(endOf attempt: AttemptID, _ report: AttemptReport?) {
        guard let predicted = predictions.take(attempt), let report, report.seconds > 0 else {
            return
        }
        costRatio.observe(report.seconds / predicted)
    }

    /// Notes a write that came after the end of its lease.
    func noteStaleWrite() {
        staleWrites.add()
    }

    // MARK: - Heartbeats

    /// Notes what a worker and its group did since its last heartbeat, and says whether it renders for
    /// its group.
    func note(_ beat: HeartbeatRequest, answeredWith record: HeartbeatRecord) -> Bool {
        if let figures = beat.figures { note(figures) }
        if let seconds = record.formationSeconds { groups.note(formation: seconds) }
        guard let standing = beat.group, standing.phase == .ready,
            standing.epoch == record.group?.epoch, standing.group == record.group?.group
        else { return false }
        if let figures = standing.figures { groups.note(figures, ofRank: standing.rank) }
        return standing.rank == 0
    }

    private func note(_ figures: WorkerFigures) {
        denoiseTokens.add(Double(figures.denoiseTokens))
        busy.add(figures.usefulSeconds, "useful")
        busy.add(figures.coldStartSeconds, "cold_start")
        busy.add(figures.lostToFailureSeconds, "lost_to_failure")
        busy.add(figures.lostToPreemptionSeconds, "lost_to_preemption")
    }

    /// Notes the steps of an attempt since its last heartbeat.
    ///
    /// - Parameters:
    ///   - progress: How far it is.
    ///   - last: How far it was; nil where nothing was heard of it here.
    ///   - precision: What its worker computes in.
    ///   - size: How many workers render it.
    func note(
        _ progress: AttemptProgress,
        since last: StepView?,
        precision: String,
        size: Int
    ) {
        guard let seconds = progress.stepSeconds, progress.step > 0 else { return }
        // Steps of a checkpoint were computed before, so that the first news stands for one.
        let isSame = last.map { $0.image == progress.image } ?? false
        let count = isSame ? progress.step - (last?.step ?? 0) : 1
        steps.observe(seconds, times: count, precision, "\(size)")
    }
}
