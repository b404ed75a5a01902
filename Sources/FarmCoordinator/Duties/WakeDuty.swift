import FarmStore
import Logging

/// Lets tasks be claimed whose back-off, start time or dependency is over.
enum WakeDuty {
    /// The service that looks once a second.
    static func service(_ store: FarmStore, logger: Logger) -> PeriodicService {
        PeriodicService(.wake, of: store, every: .seconds(1), logger: logger) { _ in
            _ = try await store.runWake()
        }
    }
}
