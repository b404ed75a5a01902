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
        ) { _ in
            // The store tells of each.
            try await store.runGroups() != GroupReport()
        }
    }
}
