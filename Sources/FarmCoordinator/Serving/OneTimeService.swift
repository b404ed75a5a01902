import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Work with an end, run where SIGTERM and SIGINT ask for a graceful shutdown.
///
/// Without it a signal ends the process wherever it is, and what it has started lives on.
final class OneTimeService<Value: Sendable>: Service {
    private let work: @Sendable () async throws -> Value
    private let result = Mutex<Result<Value, any Error>?>(nil)

    private init(_ work: @escaping @Sendable () async throws -> Value) {
        self.work = work
    }

    func run() async throws {
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(try await work())
        } catch {
            outcome = .failure(error)
        }
        result.withLock { $0 = outcome }
    }

    /// Runs `work` and returns what it returns, or throws what it throws.
    static func run(
        logger: Logger,
        _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let service = OneTimeService(work)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(
                        service: service,
                        successTerminationBehavior: .gracefullyShutdownGroup
                    )
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        try await group.run()
        guard let result = service.result.withLock({ $0 }) else { throw CancellationError() }
        return try result.get()
    }
}
