import FarmStore
import Logging

/// Samples the database for the metrics: when the duty is taken, and every ten seconds.
enum GaugesDuty {
    /// The service that samples for `gauges`, which are of this coordinator.
    static func service(
        _ store: FarmStore,
        reserve: BlobReserve,
        gauges: DatabaseGauges,
        capacityTarget: Duration,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        PeriodicService(
            .gauges,
            of: store,
            every: .seconds(10),
            outage: outage,
            logger: logger
        ) { _ in
            let sample = try await store.gauges()
            let waiting = try await store.waitingCounts(blobs: await reserve.room())
            let capacity = try await store.capacity(within: capacityTarget)
            gauges.show(
                sample,
                waiting: waiting,
                capacity: capacity,
                freeBytes: try await reserve.freeBytes()
            )
            return false
        }
    }
}
