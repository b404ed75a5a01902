package import FarmStore
package import Logging
import ServiceLifecycle

/// Returns the tasks of lapsed leases, again and again, under the store's own lock.
package struct ExpiryService: Service {
    private let store: FarmStore
    private let interval: Duration
    private let logger: Logger

    /// A service that looks for lapsed leases once in `interval`.
    package init(store: FarmStore, interval: Duration, logger: Logger) {
        self.store = store
        self.interval = interval
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    let report = try await store.expireLapsedLeases()
                    if report.lapsed + report.poisoned + report.lostWorkers > 0 {
                        logger.notice(
                            "Leases lapsed",
                            metadata: [
                                "lapsed": "\(report.lapsed)", "poisoned": "\(report.poisoned)",
                                "lostWorkers": "\(report.lostWorkers)",
                            ]
                        )
                    }
                } catch {
                    // The next round tries again; a database that is away is no reason to end.
                    if !Task.isCancelled {
                        logger.error("Expiry failed", metadata: ["error": "\(error)"])
                    }
                }
                try? await Task.sleep(for: interval)
            }
        }
    }
}
