package import FarmStore
package import Logging

/// Lets jobs that would be late ask for groups, makes the groups that are named or needed, mends
/// those that lost members, and ends those that nothing needs.
package enum GroupsDuty {
    /// The service that looks once in `interval`.
    package static func service(
        _ store: FarmStore,
        every interval: Duration = .seconds(1),
        outage: DatabaseOutage = DatabaseOutage(),
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .groups,
            of: store,
            every: interval,
            outage: outage,
            logger: logger
        ) { logger in
            let report = try await store.runGroups()
            guard report != GroupReport() else { return }
            logger.notice(
                "Groups changed",
                metadata: [
                    "grouped": "\(report.grouped)", "formed": "\(report.formed)",
                    "renewed": "\(report.renewed)", "shrunk": "\(report.shrunk)",
                    "dissolved": "\(report.dissolved)",
                ]
            )
        }
    }
}
