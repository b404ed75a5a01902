import FarmClient
import FarmModel
import Logging

/// Claims tasks, one ahead of the one that renders, and fetches what each needs.
struct ClaimLoop: Sendable {
    let worker: WorkerContext

    /// Returns when nothing more is to be claimed.
    func run() async throws {
        defer { worker.desk.endClaiming() }
        var backoff = makeBackoff()
        while true {
            switch try await worker.desk.nextClaimStep() {
            case .end: return
            case .withdraw(let task): await withdraw(task)
            case .claim(let registration, let busy):
                do {
                    guard let (answer, attempts, claimant) = try await claim(registration, busy)
                    else { continue }
                    // a reserved worker gets nothing most of the time
                    if answer.reason == .inGroup, claimant != .filling { worker.seat.ask() }
                    try await take(attempts)
                    backoff = makeBackoff()
                    if answer.tasks.isEmpty, let seconds = answer.retryAfterSeconds {
                        try await pause(.clamped(seconds: seconds))
                    }
                } catch let error as FarmClientError where error.isNotFound {
                    worker.logger.notice("The coordinator does not know this worker any more")
                    worker.desk.forget(registration)
                } catch {
                    try Task.checkCancellation()
                    worker.logger.warning("Claim failed", metadata: ["error": "\(error)"])
                    try await pause(backoff.next())
                }
            }
        }
    }

    private func makeBackoff() -> Backoff {
        Backoff(
            first: worker.configuration.backoff,
            largest: worker.configuration.largestBackoff
        )
    }

    /// A claimed attempt, and whether it was still wanted when it came.
    private typealias Claimed = (attempt: HeldAttempt, isWanted: Bool)

    /// Asks for a task and holds what comes; gives up when nothing is to be claimed any more.
    private func claim(
        _ registration: RegistrationAnswer,
        _ busy: HeldAttempt?
    ) async throws -> (ClaimAnswer, [Claimed], GroupSeat.Claimant)? {
        defer { worker.seat.endClaim() }
        let wait = worker.configuration.claimWait
        let request = ClaimRequest(
            epoch: registration.epoch,
            waitSeconds: wait / .seconds(1),
            busySeconds: busy?.remainingSeconds ?? 0
        )
        let answer = try await unlessRefusing {
            var request = request
            let claimant = try await worker.seat.mayClaim()
            switch claimant {
            case .alone: break
            case .leader(let lead): request.lead = lead
            case .filling:
                // a reserved worker gets something when it holds nothing, and at once
                try await worker.desk.holdsNothing()
                request.waitSeconds = 0
            }
            return (try await worker.calls.claim(registration.id, request), claimant)
        }
        return answer.map { answer, claimant in
            let attempts = answer.tasks.map { worker.begin($0) }
            // held first: a seat that is taken from now on waits for it
            let claimed = attempts.map { attempt in
                let isAccepted = worker.desk.hold(attempt)
                return (attempt, isAccepted && worker.seat.isStill(claimant))
            }
            return (answer, claimed, claimant)
        }
    }

    /// Waits, but not on into a drain.
    private func pause(_ duration: Duration) async throws {
        _ = try await unlessRefusing { try await worker.clock.sleep(for: duration) }
    }

    /// Runs `body` until nothing is to be claimed any more; an answer that came is not lost.
    private func unlessRefusing<Answer: Sendable>(
        _ body: @escaping @Sendable () async throws -> Answer
    ) async throws -> Answer? {
        try await withThrowingTaskGroup(of: Answer?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await worker.desk.refusing()
                return nil
            }
            let first = try await group.next() ?? nil
            group.cancelAll()
            if let first { return first }
            do {
                return try await group.next() ?? nil
            } catch {
                try Task.checkCancellation()
                return nil
            }
        }
    }

    // MARK: - What was claimed

    private func take(_ attempts: [Claimed]) async throws {
        for (position, (attempt, isWanted)) in attempts.enumerated() {
            worker.ledger.count { $0.claimed += 1 }
            worker.logger(of: attempt).info(
                "Claimed",
                metadata: ["images": "\(attempt.task.images.count)"]
            )
            guard isWanted, position == 0 else {
                worker.post(.released(.notBegun), of: attempt)
                continue
            }
            try await prepare(attempt)
        }
    }

    private func prepare(_ attempt: HeldAttempt) async throws {
        let logger = worker.logger(of: attempt)
        do {
            let prepared = try await attempt.trace.span("prepare") {
                try await worker.preparation.prepare(attempt, logger)
            }
            if let task = prepared {
                worker.desk.lay(task)
            } else if attempt.stop == .lost {
                await worker.lose(attempt)
            } else {
                let isCancelled = attempt.stop.map { $0 > .drain } ?? false
                worker.post(.released(isCancelled ? .cancelled : .notBegun), of: attempt)
            }
        } catch let error as CancellationError {
            throw error
        } catch let error as FarmClientError where error.isStale {
            await worker.lose(attempt)
        } catch is RenderInterrupted {
            worker.post(.released(.groupLost), of: attempt)
        } catch {
            worker.post(.failed(RenderFailure(describing: error)), of: attempt)
        }
    }

    private func withdraw(_ task: PreparedTask) async {
        await worker.preparation.letGo(task)
        worker.logger(of: task.attempt).notice("Gives back what it claimed ahead")
        worker.post(.released(.notBegun), of: task.attempt)
    }
}
