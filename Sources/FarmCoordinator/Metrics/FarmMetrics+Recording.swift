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
        // A copy of the farm's own waits for what nobody else wants.
        for task in tasks where task.owner != FarmOwner.audits {
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

    /// Notes what a worker and its group did since its last heartbeat.
    ///
    /// - Parameters:
    ///   - beat: What it says.
    ///   - precision: What it computes in.
    ///   - record: What it is answered with.
    func note(
        _ beat: HeartbeatRequest,
        in precision: String,
        answeredWith record: HeartbeatRecord
    ) {
        var size = 1
        if let seconds = record.formationSeconds { groups.note(formation: seconds) }
        if let standing = beat.group, standing.phase == .ready {
            // Also where the group has been dissolved since: what was done was done.
            if let figures = standing.figures { groups.note(figures, ofRank: standing.rank) }
            if let order = record.group, standing.group == order.group,
                standing.epoch == order.epoch
            {
                size = order.size
            }
        }
        if let figures = beat.figures {
            note(figures, in: precision, size: figures.groupSize ?? size)
        }
    }

    private func note(_ figures: WorkerFigures, in precision: String, size: Int) {
        if let count = figures.measuredSteps, let seconds = figures.measuredStepSeconds, count > 0 {
            steps.observe(seconds / Double(count), times: count, precision, "\(size)")
        }
        denoiseTokens.add(Double(figures.denoiseTokens))
        busy.add(figures.usefulSeconds, "useful")
        busy.add(figures.coldStartSeconds, "cold_start")
        busy.add(figures.lostToFailureSeconds, "lost_to_failure")
        busy.add(figures.lostToPreemptionSeconds, "lost_to_preemption")
    }
}
