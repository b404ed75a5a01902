package import FarmStore
package import Logging

/// Lets tasks be claimed whose back-off, start time or dependency is over.
package enum WakeDuty {
    /// The service that looks once in `interval`.
    package static func service(
        _ store: FarmStore,
        every interval: Duration = .seconds(1),
        outage: DatabaseOutage = DatabaseOutage(),
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .wake,
            of: store,
            every: interval,
            outage: outage,
            logger: logger
        ) { _ in
            try await store.runWake() != WakeReport()
        }
    }
}
