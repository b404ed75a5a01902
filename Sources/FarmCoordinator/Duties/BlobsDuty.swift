import BlobStore
import FarmStore
import Logging

/// Removes uploads that were begun and never finished.
enum BlobsDuty {
    /// The service that looks every few hours.
    static func service(
        _ store: FarmStore,
        _ blobs: any BlobStorage,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .blobs,
            of: store,
            every: .seconds(6 * 3600),
            outage: outage,
            logger: logger
        ) { logger in
            let removed = try await blobs.removeAbandoned(olderThan: .seconds(86400))
            if removed > 0 {
                logger.info("Unfinished uploads removed", metadata: ["count": "\(removed)"])
            }
        }
    }
}
