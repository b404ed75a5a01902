import FarmStore
import Logging

/// Keeps workers from tasks that fail in several jobs, and ends jobs that fail too often.
enum LimitsDuty {
    /// The service that looks every few seconds.
    static func service(
        _ store: FarmStore,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .limits,
            of: store,
            every: .seconds(5),
            outage: outage,
            logger: logger
        ) { logger in
            for worker in try await store.quarantineFailingWorkers() {
                logger.warning("Worker quarantined", metadata: ["worker": "\(worker)"])
            }
            for job in try await store.enforceFailureLimits() {
                logger.notice("Job failed too often", metadata: ["job": "\(job)"])
            }
        }
    }
}
