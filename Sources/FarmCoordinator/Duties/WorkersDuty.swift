import FarmStore
import Logging

/// Keeps workers from tasks that fail in several jobs with no success between.
enum WorkersDuty {
    /// The service that looks every few seconds.
    static func service(_ store: FarmStore, logger: Logger) -> PeriodicService {
        PeriodicService("workers", every: .seconds(5), logger: logger) { logger in
            for worker in try await store.quarantineFailingWorkers() {
                logger.warning("Worker quarantined", metadata: ["worker": "\(worker)"])
            }
        }
    }
}
