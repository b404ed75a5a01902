import FarmStore
import Logging

/// Takes heads out of the claims' sight that have no ready task.
enum HeadsDuty {
    /// The service that looks every few seconds.
    static func service(
        _ store: FarmStore,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .emptyHeads,
            of: store,
            every: .seconds(5),
            outage: outage,
            logger: logger
        ) { _ in
            try await store.runEmptyHeads() > 0
        }
    }
}
