import BlobStore
import FarmModel
import FarmStore
import Logging

/// Counts what owners use of their budgets and quotas, and tells of budgets of which much is used.
enum QuotasDuty {
    /// How many blobs of unknown size are asked for in one run.
    private static let unsizedBatch = 200

    /// The service that counts every few seconds.
    static func service(
        _ store: FarmStore,
        blobs: any BlobStorage,
        keepingOutputs outputs: Duration?,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .quotas,
            of: store,
            every: .seconds(5),
            outage: outage,
            logger: logger
        ) { logger in
            for notice in try await store.countCompute() {
                logger.warning(
                    "Much of a budget is used",
                    metadata: [
                        "owner": "\(notice.owner)", "percent": "\(notice.percent)",
                        "usedSeconds": "\(Int(notice.usedSeconds))",
                        "budgetSeconds": "\(Int(notice.budget.seconds))",
                        "action": "\(notice.budget.action)",
                    ]
                )
            }
            for digest in try await store.unsizedBlobs(limit: unsizedBatch) {
                try await store.noteSize(of: digest, blobs.size(of: digest) ?? 0)
            }
            try await store.measureBlobs(keepingOutputs: outputs)
            return false
        }
    }
}
