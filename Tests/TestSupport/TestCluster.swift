import Foundation
import Glibc
import Postgres
import Synchronization

/// The one private PostgreSQL of a test process, started when it is first asked for and gone with the
/// process.
actor TestCluster {
    static let shared = TestCluster()

    private static let prefix = "dreamfarm-test-"

    private var starting: Task<PostgresConfiguration, any Error>?

    /// The connection to the cluster's database.
    func connection() async throws -> PostgresConfiguration {
        if let starting { return try await starting.value }
        // Not structured: all tests of the process share the one start, whichever asks first.
        let task = Task { try await Self.start() }
        starting = task
        return try await task.value
    }

    private static func start() async throws -> PostgresConfiguration {
        removeLeftovers()
        let folder = "/tmp/\(prefix)\(getpid())-\(UInt32.random(in: 0...0xffff))"
        var configuration = PostgresCluster.Configuration(folder: folder)
        configuration.runtimeFolder = "\(folder)/run"
        configuration.isDurable = false
        let cluster = try await PostgresCluster.start(configuration)
        TestProcessEnd.remember(cluster, folder: folder)
        return cluster.connection
    }

    /// Ends and removes clusters whose test process was killed.
    private static func removeLeftovers() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
        for name in names where name.hasPrefix(prefix) {
            let owner = name.dropFirst(prefix.count).prefix { $0.isNumber }
            guard let owner = Int32(owner), kill(owner, 0) != 0, errno == ESRCH else { continue }
            let pidFile = try? String(
                contentsOfFile: "/tmp/\(name)/data/postmaster.pid",
                encoding: .utf8
            )
            if let server = pidFile?.split(separator: "\n").first.flatMap({ Int32($0) }),
                let cwd = try? FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/\(server)/cwd"
                ), cwd == "/tmp/\(name)/data"
            {
                kill(server, SIGQUIT)
            }
            try? FileManager.default.removeItem(atPath: "/tmp/\(name)")
        }
    }
}

/// What is left to do when the test process ends.
private enum TestProcessEnd {
    private struct Remains {
        let cluster: PostgresCluster
        let folder: String
    }

    private static let remains = Mutex<Remains?>(nil)

    static func remember(_ cluster: PostgresCluster, folder: String) {
        remains.withLock { $0 = Remains(cluster: cluster, folder: folder) }
        atexit { TestProcessEnd.clean() }
    }

    private static func clean() {
        guard let remains = remains.withLock({ $0.take() }) else { return }
        kill(remains.cluster.processID, SIGQUIT)
        var status: Int32 = 0
        waitpid(remains.cluster.processID, &status, 0)
        try? FileManager.default.removeItem(atPath: remains.folder)
    }
}
