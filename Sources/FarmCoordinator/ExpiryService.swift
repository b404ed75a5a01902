import FarmStore
import Logging
import ServiceLifecycle

/// Returns the tasks of lapsed leases, again and again, under the store's own lock.
struct ExpiryService: Service {
    let store: FarmStore
    let interval: Duration
    let logger: Logger

    func run() async throws {
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
