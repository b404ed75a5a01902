import Logging
import Postgres
import ServiceLifecycle

/// Starts the private database again when it has ended, killed for example.
struct ClusterService: Service {
    let cluster: PostgresCluster
    var interval: Duration = .seconds(1)
    let logger: Logger

    init(cluster: PostgresCluster, logger: Logger) {
        self.cluster = cluster
        self.logger = logger
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var failures = 0
            while !Task.isCancelled {
                do {
                    if try await cluster.revive() {
                        logger.warning("Database had ended and was started again")
                    }
                    failures = 0
                } catch {
                    // The next round tries again; it is told once.
                    failures += 1
                    logger.log(
                        level: failures == 1 ? .error : .debug,
                        "Database does not start",
                        metadata: ["error": "\(error)"]
                    )
                }
                try? await Task.sleep(for: interval)
            }
        }
    }
}
