import BlobStore
import FarmModel
import FarmStore
import Logging

/// Removes uploads that were begun and never finished, and the blobs that nothing names any more:
/// checkpoints and artifacts that were replaced, what deleted jobs had, pictures that are kept no
/// longer.
enum BlobsDuty {
    /// The service that looks every few hours.
    static func service(
        _ sweep: BlobSweep,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        var sweep = sweep
        // No delivery takes as long from its bytes to its row.
        sweep.settle = { try await Task.sleep(for: .seconds(120)) }
        return PeriodicService(
            .blobs,
            of: sweep.store,
            every: .seconds(6 * 3600),
            outage: outage,
            logger: logger
        ) { [sweep] logger in
            let abandoned = try await sweep.blobs.removeAbandoned(olderThan: sweep.grace)
            guard let swept = try await sweep.run() else {
                logger.info("Blobs are not swept while a backup or another sweep is under way")
                return false
            }
            if abandoned + swept.removed > 0 {
                logger.info(
                    "Blobs removed that nothing names",
                    metadata: [
                        "unfinished": "\(abandoned)", "removed": "\(swept.removed)",
                        "size": "\(ByteCount.text(swept.removedBytes))",
                    ]
                )
            }
            return abandoned + swept.removed > 0
        }
    }
}
