import FarmModel
package import FarmStore
package import Logging

/// Has pictures rendered again by other workers of their class, and compares them.
package enum AuditsDuty {
    /// The service that looks once in `interval`.
    package static func service(
        _ store: FarmStore,
        every interval: Duration = .seconds(5),
        outage: DatabaseOutage = DatabaseOutage(),
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .audits,
            of: store,
            every: interval,
            outage: outage,
            logger: logger
        ) { logger in
            let report = try await store.runPictureAudits()
            if let count = report.reached[.undecided] {
                logger.warning(
                    "Pictures differ, and nobody can say which are right",
                    metadata: ["audits": "\(count)"]
                )
            }
            return report != PictureAuditReport()
        }
    }
}
