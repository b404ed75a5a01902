import FarmStore
import Logging

/// Takes away history that is older than the settings keep it.
enum RetentionDuty {
    /// The service that looks once an hour.
    static func service(
        _ store: FarmStore,
        keeping policy: RetentionPolicy,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .retention,
            of: store,
            every: .seconds(3600),
            outage: outage,
            logger: logger
        ) { logger in
            let report = try await store.runRetention(policy)
            if report.jobs + report.logLines + report.drafts > 0 {
                logger.info(
                    "History removed",
                    metadata: [
                        "jobs": "\(report.jobs)", "logLines": "\(report.logLines)",
                        "drafts": "\(report.drafts)",
                    ]
                )
            }
            return report.jobs + report.logLines + report.drafts > 0
        }
    }
}
