import FarmClient
import FarmModel
import FoundationEssentials
import Logging

/// Makes the worker known and keeps it known: registration, heartbeats, and what they are
/// answered with.
struct Presence: Sendable {
    let worker: WorkerContext
    /// The speed that warming up measured.
    let speed: Double?

    /// Registers, and again where the coordinator forgot; beats until it is cancelled.
    ///
    /// - Throws: ``FarmClientError`` when the coordinator refuses the worker.
    func run() async throws {
        while true {
            guard let registration = worker.desk.registration else {
                try await register()
                continue
            }
            let drain = worker.desk.drain
            let news = worker.seat.news
            let interval =
                await beat(registration) ?? .clamped(seconds: registration.heartbeatSeconds)
            try await pause(interval, since: drain, news)
        }
    }

    /// Makes the worker known.
    ///
    /// One whose place another process took, which has the same instance by a copied data folder,
    /// comes back as another worker: two would take each other's place for ever.
    private func register() async throws {
        let configuration = worker.configuration
        let isKnown = worker.ledger.counts.registrations > 0
        var request = RegistrationRequest(
            name: configuration.name,
            instance: isKnown ? UUID().uuidString : configuration.instance.id,
            pool: configuration.pool,
            model: worker.member?.whole ?? worker.renderer.model
        )
        request.tags = configuration.tags
        request.memoryBytes = configuration.memory
        request.speed = worker.ledger.speed ?? speed
        request.parks = true
        request.engine = "dreamfarm-worker \(FarmSettings.version)"
        request.machine = configuration.machine
        if let renderer = worker.member {
            request.group = configuration.group?.offer
            request.modelMemory = renderer.memory
            request.rendersAlone = configuration.group?.rendersAlone ?? true
        }
        request.warmArtifacts = await worker.conditions.atHand()
        let sent = request
        guard let answer = try await answer(to: sent) else { return }
        worker.ledger.count { $0.registrations += 1 }
        worker.desk.register(answer, telling: sent.warmArtifacts)
        worker.metrics.reader.noteAnswer()
        worker.logger.notice(
            "Registered",
            metadata: [
                "worker": "\(answer.id)", "name": "\(answer.name)", "model": "\(answer.model)",
                "pool": "\(configuration.pool)",
            ]
        )
        if answer.desiredState == .drain {
            worker.desk.beginDrain(configuration.drain)
        }
    }

    /// Registers by the worker's own key, or joins by its token where it has none that is good.
    private func answer(
        to request: RegistrationRequest
    ) async throws -> RegistrationAnswer? {
        let credential = worker.configuration.credential
        let answer = try await WorkerCredential.presenting(credential) { right in
            var request = request
            if case .join(let key) = right { request.credential = key }
            let sent = request
            return try await worker.retrying.untilAnswered("register", unless: { false }) {
                try await worker.calls.register(sent)
            }
        }
        if let terms = answer?.credential { try credential?.joined(terms) }
        return answer
    }

    /// Tells the next key when that is due; where nobody answers, it is told again.
    private func renew(_ registration: RegistrationAnswer) async {
        guard let credential = worker.configuration.credential, credential.isDue else { return }
        do {
            let key = try credential.next()
            let terms = try await worker.calls.renew(
                registration.id,
                CredentialRequest(credential: key)
            )
            try credential.renewed(terms)
        } catch {
            guard !Task.isCancelled else { return }
            worker.logger.warning("The key was not renewed", metadata: ["error": "\(error)"])
        }
    }

    /// Waits for the next heartbeat, or until there is a reason for one.
    private func pause(
        _ interval: Duration,
        since drain: DrainMode?,
        _ news: Int
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.clock.sleep(for: interval) }
            group.addTask { try await worker.desk.presenceChanged(since: drain) }
            group.addTask { try await worker.seat.changed(since: news) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    // MARK: - Heartbeat

    /// Says that the worker lives and how far it is, and does what is answered.
    ///
    /// - Returns: How long to wait until the next one; nil where there was no answer.
    @discardableResult
    func beat(_ registration: RegistrationAnswer) async -> Duration? {
        let held = worker.desk.held
        var request = HeartbeatRequest(
            epoch: registration.epoch,
            state: worker.desk.workerState,
            running: held.filter(\.hasBegun).map { $0.takeProgress() }
        )
        request.ahead = held.filter { !$0.hasBegun }.map(\.fence)
        request.freeMemoryBytes = worker.renderer.freeMemory
        for attempt in held where request.log.count < HeartbeatRequest.mostLogLines {
            request.log += attempt.lines(HeartbeatRequest.mostLogLines - request.log.count)
        }
        request.speed = worker.ledger.speed
        request.group = standing()
        let artifacts = await worker.conditions.atHand()
        if worker.desk.isNews(artifacts) { request.warmArtifacts = artifacts }
        let figures = worker.ledger.takeFigures()
        request.figures = figures
        request.sentAt = Date()
        do {
            let answer = try await worker.calls.heartbeat(registration.id, request)
            worker.metrics.note(heartbeatAnswered: true)
            for attempt in held { attempt.forget(request.log) }
            if let artifacts = request.warmArtifacts { worker.desk.told(artifacts) }
            await follow(answer)
            await renew(registration)
            return .clamped(seconds: answer.heartbeatSeconds)
        } catch {
            worker.metrics.note(heartbeatAnswered: false)
            worker.ledger.putBack(figures)
            let refusal = error as? FarmClientError
            if refusal?.isUnauthorized == true, worker.configuration.credential != nil {
                worker.logger.notice("The coordinator does not take the worker's key any more")
                worker.desk.forget(registration)
            } else if refusal?.isNotFound == true {
                worker.logger.notice("The coordinator does not know this worker any more")
                worker.desk.forget(registration)
            } else if !Task.isCancelled {
                worker.logger.warning("Heartbeat failed", metadata: ["error": "\(error)"])
            }
            return nil
        }
    }

    /// Tells the lines of an attempt that is about to end; afterwards they would not be taken.
    func tellLog(of attempt: HeldAttempt) async {
        guard let registration = worker.desk.registration else { return }
        while !attempt.lines(1).isEmpty {
            let first = attempt.lines(1).first
            guard await beat(registration) != nil, attempt.lines(1).first != first else { return }
        }
    }

    /// Says that the worker holds nothing any more and ends.
    func leave() async {
        guard let registration = worker.desk.registration else { return }
        await beat(registration)
        do {
            try await worker.calls.leave(registration.id, epoch: registration.epoch)
        } catch {
            worker.logger.info("Left without an answer", metadata: ["error": "\(error)"])
        }
    }

    /// How far it is as a member of a group, with what was measured since the last time.
    private func standing() -> GroupStanding? {
        guard var standing = worker.seat.standing else { return nil }
        guard let renderer = worker.member, standing.phase == .ready else {
            return standing
        }
        standing.figures = renderer.takeFigures()
        if standing.rank == 0 { standing.speed = worker.ledger.speed ?? standing.speed }
        return standing
    }

    // MARK: - What is wanted

    private func follow(_ answer: HeartbeatAnswer) async {
        worker.seat.follow(answer.group)
        for stale in answer.stale {
            guard let attempt = worker.desk.held(stale), !attempt.isEnding else { continue }
            await worker.lose(attempt)
        }
        for order in answer.cancel {
            guard let attempt = worker.desk.held(order.attempt) else { continue }
            await cancel(attempt, order.mode)
        }
        for id in answer.park ?? [] {
            guard let attempt = worker.desk.held(id), attempt.hasBegun, !attempt.isEnding,
                attempt.stop(.park)
            else { continue }
            worker.logger(of: attempt).notice("The attempt is to make room at its next step")
        }
        let mode = worker.configuration.drain
        if worker.desk.want(answer.desiredState, drain: mode) {
            worker.logger.notice(
                "The coordinator wants another state",
                metadata: [
                    "state": "\(answer.desiredState.rawValue)",
                    "reason": "\(answer.stateReason ?? "")",
                ]
            )
        }
    }

    private func cancel(_ attempt: HeldAttempt, _ mode: CancelMode) async {
        guard attempt.stop(mode == .now ? .cancelNow : .cancelAfterStep) else { return }
        worker.logger(of: attempt).notice("The attempt is to stop")
        // One that waits is given back at once; one that renders, at its next step.
        guard let task = worker.desk.withdraw(attempt) else { return }
        await worker.preparation.letGo(task)
        worker.post(.released(.cancelled), of: attempt)
    }
}
