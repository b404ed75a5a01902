package import FarmClient
import FarmModel
package import Logging
import ServiceLifecycle

extension CoordinatorClient: CoordinatorCalls, ModelSource {}

/// A worker: registers, claims, renders and reports, in loops that overlap.
///
/// A graceful shutdown ends it after the current picture or at the next step, as its settings
/// say; a cancellation at the next step, keeping nothing. A coordinator that is away makes it
/// wait, never give up: what is rendered is kept until it is delivered or its lease turns out to
/// be over. A worker takes no thread, so that thousands fit into one process.
package struct WorkerService: Service {
    private let worker: WorkerContext

    package init(
        calls: any CoordinatorCalls,
        renderer: any ImageRenderer,
        configuration: WorkerConfiguration,
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger
    ) {
        worker = WorkerContext(
            calls: calls,
            renderer: renderer,
            configuration: configuration,
            clock: clock,
            logger: logger
        )
    }

    /// What the worker did so far.
    package var counts: WorkerCounts { worker.ledger.counts }

    /// Works until it is drained.
    ///
    /// - Throws: ``FarmClientError`` when the coordinator refuses the worker,
    ///   `CancellationError` when it is cancelled, and what warming up throws.
    package func run() async throws {
        let worker = worker
        PictureSpool.clean(worker.configuration.dataFolder + "/spool")
        worker.spool.clear()
        defer { worker.spool.clear() }
        try await withGracefulShutdownHandler {
            do {
                try await work()
            } catch {
                // Shielded from the cancellation that led here, and awaited at once.
                await Task { await abandon() }.value
                throw error
            }
        } onGracefulShutdown: {
            drain()
        }
    }

    /// Asks the worker to end as its settings say; the same as a graceful shutdown.
    package func drain() {
        worker.desk.beginDrain(worker.configuration.drain)
    }

    /// Gives back what the worker holds, without waiting for its renderer; where nobody answers
    /// in time, the leases lapse.
    package func abandon(within limit: Duration = .seconds(15)) async {
        let held = worker.desk.held
        for attempt in held { attempt.stop(.abandon) }
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                try? await worker.clock.sleep(for: limit)
                return true
            }
            group.addTask {
                for attempt in held {
                    let request = AttemptRequest(
                        fence: attempt.fence,
                        report: attempt.report,
                        reason: .draining
                    )
                    _ = try? await worker.calls.release(request)
                    attempt.trace.note(.released(.draining))
                    attempt.trace.end()
                }
                // A claim that was under way may have been answered to nobody.
                if let registration = worker.desk.registration {
                    try? await worker.calls.leave(registration.id, epoch: registration.epoch)
                }
                return true
            }
            _ = await group.next()
            group.cancelAll()
        }
    }

    private func work() async throws {
        let begin = ContinuousClock.now
        let speed = try await worker.renderer.warmUp()
        let coldStart = (ContinuousClock.now - begin) / .seconds(1)
        worker.ledger.note { $0.coldStartSeconds += coldStart }
        let presence = Presence(worker: worker, speed: speed)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await presence.run()
                return false
            }
            group.addTask {
                try await limitDrain()
                return false
            }
            if let renderer = worker.member,
                let settings = worker.configuration.group
            {
                group.addTask {
                    try await GroupMembership(
                        worker: worker,
                        renderer: renderer,
                        settings: settings
                    ).run()
                    return false
                }
            }
            group.addTask {
                try await loop(presence)
                return true
            }
            while let isOver = try await group.next() {
                guard !isOver else { break }
            }
            try await finishWithGroup()
            group.cancelAll()
        }
        await presence.leave()
    }

    /// Stays in a group that renders until its epoch is over, or the time for that: a member that does
    /// not lead holds nothing itself, and its leaving would cost the others their picture.
    private func finishWithGroup() async throws {
        guard let standing = worker.seat.standing, standing.phase == .ready, standing.rank > 0
        else { return }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.seat.isOver(standing) }
            group.addTask { try await worker.desk.graceEnded() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Runs the loops that hand a task on, until the last has nothing to do any more.
    private func loop(_ presence: Presence) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await ClaimLoop(worker: worker).run() }
            group.addTask { try await RenderLoop(worker: worker).run() }
            group.addTask {
                try await DeliveryLoop(worker: worker, presence: presence).run()
            }
            try await group.waitForAll()
        }
    }

    /// Ends the waiting of a drain that takes too long.
    private func limitDrain() async throws {
        try await worker.desk.drained()
        worker.logger.notice("Draining")
        try await worker.clock.sleep(for: worker.configuration.grace)
        worker.desk.endGrace()
    }
}
