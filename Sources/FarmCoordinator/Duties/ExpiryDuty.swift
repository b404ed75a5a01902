package import FarmStore
package import Logging

/// Returns the tasks of lapsed leases and of attempts that hang, and finds silent workers.
package enum ExpiryDuty {
    /// The service that looks once in `interval`.
    package static func service(
        _ store: FarmStore,
        every interval: Duration,
        outage: DatabaseOutage = DatabaseOutage(),
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .expiry,
            of: store,
            every: interval,
            outage: outage,
            logger: logger
        ) { logger in
            let report = try await store.runExpiry()
            if report.extendedAfterGap > 0 {
                logger.notice(
                    "Leases extended after a gap",
                    metadata: ["leases": "\(report.extendedAfterGap)"]
                )
            }
            if report.lapsed + report.hung + report.poisoned + report.lostWorkers > 0 {
                logger.notice(
                    "Leases lapsed",
                    metadata: [
                        "lapsed": "\(report.lapsed)", "hung": "\(report.hung)",
                        "poisoned": "\(report.poisoned)", "lostWorkers": "\(report.lostWorkers)",
                    ]
                )
            }
            return report != ExpiryReport()
        }
    }
}
