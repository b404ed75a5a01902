import BlobStore
import FarmStore
import Logging

/// Removes uploads that were begun and never finished.
enum BlobsDuty {
    /// The service that looks every few hours.
    static func service(
        _ store: FarmStore,
        _ blobs: any BlobStorage,
        logger: Logger
    ) -> PeriodicService {
        PeriodicService("blobs", every: .seconds(6 * 3600), logger: logger) { logger in
            let removed = try await store.withDuty(.blobs) {
                try await blobs.removeAbandoned(olderThan: .seconds(86400))
            }
            if let removed, removed > 0 {
                logger.info("Unfinished uploads removed", metadata: ["count": "\(removed)"])
            }
        }
    }
}
