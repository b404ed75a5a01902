import FarmStore
import Logging
import Synchronization

/// Keeps the queue's hot tables small: dead rows go before they outnumber the live ones.
enum VacuumDuty {
    /// The service that looks every second.
    static func service(
        _ store: FarmStore,
        outage: DatabaseOutage,
        logger: Logger
    ) -> PeriodicService {
        let last = Mutex<VacuumReport?>(nil)
        return PeriodicService(
            .vacuum,
            of: store,
            every: .seconds(1),
            outage: outage,
            logger: logger
        ) { logger in
            let report = try await store.runVacuum(since: last.withLock(\.self))
            last.withLock { $0 = report }
            guard !report.tables.isEmpty else { return false }
            logger.debug(
                "Vacuumed",
                metadata: ["tables": "\(report.tables.joined(separator: " "))"]
            )
            return true
        }
    }
}
