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
            while !Task.isCancelled {
                do {
                    if try await cluster.revive() {
                        logger.warning("Database had ended and was started again")
                    }
                } catch {
                    // The next round tries again.
                    logger.error("Database is down", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: interval)
            }
        }
    }
}
