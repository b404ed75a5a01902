import Foundation
import Glibc
package import Postgres

/// Calls the body with a cluster's configuration in a new folder, which is removed at the end.
package func withSite(
    _ body: (PostgresCluster.Configuration) async throws -> Void
) async throws {
    let folder = "/tmp/dreamfarm-test-\(getpid())-\(UInt32.random(in: 0...0xffff))"
    var configuration = PostgresCluster.Configuration(folder: folder)
    configuration.runtimeFolder = "\(folder)/run"
    configuration.isDurable = false
    let result: Result<Void, any Error>
    do {
        try await body(configuration)
        result = .success(())
    } catch {
        result = .failure(error)
    }
    try FileManager.default.removeItem(atPath: folder)
    try result.get()
}

/// Calls the body with a running cluster of its own, which is stopped at the end; one that is not
/// durable may forget its latest commits in a crash.
package func withCluster(
    isDurable: Bool = false,
    _ body: (PostgresCluster) async throws -> Void
) async throws {
    try await withSite { configuration in
        var configuration = configuration
        configuration.isDurable = isDurable
        let cluster = try await PostgresCluster.start(configuration)
        let result: Result<Void, any Error>
        do {
            try await body(cluster)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        try await cluster.stop()
        try result.get()
    }
}

extension PostgresCluster {
    /// Kills the server, and returns once it is gone; `revive` starts it again.
    package func crash() {
        let killed = processID
        kill(killed, SIGKILL)
        var status: Int32 = 0
        waitpid(killed, &status, 0)
    }
}
