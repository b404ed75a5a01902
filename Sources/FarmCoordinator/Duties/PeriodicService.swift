import Logging
import ServiceLifecycle

/// One of the farm's duties: work that one coordinator at a time does again and again.
///
/// The work takes the duty's lock in the database itself and does nothing where another
/// coordinator holds it. What fails is tried again in the next round; a database that is away is no
/// reason to end.
package struct PeriodicService: Service {
    private let name: String
    private let interval: Duration
    private let logger: Logger
    private let work: @Sendable (Logger) async throws -> Void

    /// A service that does `work` once in `interval`, give or take a tenth.
    package init(
        _ name: String,
        every interval: Duration,
        logger: Logger,
        _ work: @escaping @Sendable (Logger) async throws -> Void
    ) {
        self.name = name
        self.interval = interval
        self.logger = logger
        self.work = work
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var failures = 0
            while !Task.isCancelled {
                do {
                    try await work(logger)
                    failures = 0
                } catch {
                    failures += 1
                    // An outage is told once, not in every round.
                    let level: Logger.Level = failures == 1 ? .error : .debug
                    if !Task.isCancelled {
                        logger.log(
                            level: level,
                            "Duty failed",
                            metadata: ["duty": "\(name)", "error": "\(error)"]
                        )
                    }
                }
                try? await Task.sleep(for: interval * Double.random(in: 0.9...1.1))
            }
        }
    }
}
