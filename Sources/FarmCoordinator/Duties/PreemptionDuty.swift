package import FarmStore
package import Logging

/// Lets tasks of a higher band of priority take the place of those that render.
package enum PreemptionDuty {
    /// The service that looks once in `interval`.
    package static func service(
        _ store: FarmStore,
        every interval: Duration = .seconds(1),
        outage: DatabaseOutage = DatabaseOutage(),
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .preemption,
            of: store,
            every: interval,
            outage: outage,
            logger: logger
        ) { logger in
            let report = try await store.runPreemption()
            guard report != PreemptionReport() else { return false }
            logger.notice(
                "Tasks of a higher band take places",
                metadata: ["ordered": "\(report.ordered)", "promised": "\(report.promised)"]
            )
            return true
        }
    }
}
