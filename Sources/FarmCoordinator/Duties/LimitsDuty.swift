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
        ) { _ in
            // The store tells of each with its reason.
            let quarantined = try await store.quarantineFailingWorkers().count
            return try await store.enforceFailureLimits().count + quarantined > 0
        }
    }
}
