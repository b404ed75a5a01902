package import FarmStore
package import Logging
import ServiceLifecycle

/// One of the farm's duties: work that one coordinator at a time does again and again.
///
/// The duty's lock is held in the database for as long as the coordinator and its connection live;
/// the others try now and then to take it. What fails is tried again in the next round; a database
/// that is away is no reason to end.
package struct PeriodicService: Service {
    private let duty: Duty
    private let store: FarmStore
    private let interval: Duration
    private let logger: Logger
    private let work: @Sendable (Logger) async throws -> Void

    /// A service that does `work` once in `interval`, give or take a tenth.
    package init(
        _ duty: Duty,
        of store: FarmStore,
        every interval: Duration,
        logger: Logger,
        _ work: @escaping @Sendable (Logger) async throws -> Void
    ) {
        self.duty = duty
        self.store = store
        self.interval = interval
        self.logger = logger
        self.work = work
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var failures = 0
            while !Task.isCancelled {
                do {
                    try await store.withDuty(duty) { await repeatWork() }
                    failures = 0
                } catch {
                    failures += 1
                    complain(error, failures)
                }
                // Held elsewhere, or lost; nobody waits for it to the second.
                await pause(min(interval, .seconds(5)))
            }
        }
    }

    /// Does the work until the lock is lost or the service ends.
    private func repeatWork() async {
        var failures = 0
        while !Task.isCancelled {
            do {
                try await work(logger)
                failures = 0
            } catch {
                failures += 1
                complain(error, failures)
            }
            await pause(interval)
        }
    }

    private func pause(_ length: Duration) async {
        try? await Task.sleep(for: length * Double.random(in: 0.9...1.1))
    }

    /// Logs a failure; an outage is told once, not in every round.
    private func complain(_ error: any Error, _ failures: Int) {
        guard !Task.isCancelled else { return }
        logger.log(
            level: failures == 1 ? .error : .debug,
            "Duty failed",
            metadata: ["duty": "\(duty.name)", "error": "\(error)"]
        )
    }
}
