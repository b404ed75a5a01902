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
    /// Kills the server, and returns once it is gone with all its sessions, which would else go on to
    /// answer for a moment; `revive` starts it again.
    package func crash() {
        let killed = processID
        kill(killed, SIGSTOP)
        let sessions = Self.children(of: killed)
        kill(killed, SIGKILL)
        var status: Int32 = 0
        waitpid(killed, &status, 0)
        for session in sessions { kill(session, SIGKILL) }
        while sessions.contains(where: Self.isRunning) { usleep(1000) }
    }

    private static func children(of process: Int32) -> [Int32] {
        let path = "/proc/\(process)/task/\(process)/children"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: " ").compactMap { Int32($0) }
    }

    /// Whether a process is there and has not ended, its parent still to hear of it.
    private static func isRunning(_ process: Int32) -> Bool {
        guard
            let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let state = text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).first
        else { return false }
        return state != "Z" && state != "X"
    }
}
