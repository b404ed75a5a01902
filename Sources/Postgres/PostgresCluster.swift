import Glibc
import Synchronization

/// A PostgreSQL of our own inside a folder: the database of a farm that was given none.
///
/// It listens on a socket in a folder that only its user can enter, knows one user (`dreamfarm`) by
/// its peer's identity, and has no TCP. It lives in a session of its own: when this process is
/// killed it goes on, and the next `start` of the folder adopts it.
package final class PostgresCluster: Sendable {
    /// Where the cluster is and how it runs, read once.
    package struct Configuration: Sendable {
        /// The folder that holds the data, the server's log and the locks; made when missing.
        package var folder: String

        /// The folder for the socket; nil for a short one made from the folder's path.
        package var runtimeFolder: String?

        /// The folders to look for server programs in; nil for the usual ones.
        package var binaryFolders: [String]?

        /// The account that the server runs as when this process is root's.
        package var systemUser = "postgres"

        /// Whether commits reach the disk; false is for tests.
        package var isDurable = true

        /// How long starting and stopping may take.
        package var patience: Duration = .seconds(60)

        /// Creates the configuration of a folder, everything else at its default.
        package init(folder: String) {
            self.folder = folder
        }
    }

    /// The database of the cluster, reached over its socket.
    package let connection: PostgresConfiguration

    /// Whether a running server of the folder was taken over.
    package let wasAdopted: Bool

    /// The account that the server runs as where that is not the caller's own.
    package let runsAs: String?

    /// The server's main process.
    package var processID: Int32 { server.withLock { $0.postmaster.processID } }

    private struct Server {
        var postmaster: Postmaster
        var isChild: Bool
    }

    private let site: ClusterSite
    private let binaries: PostgresBinaries
    private let server: Mutex<Server>

    /// Held shared while the cluster is in use; who can have it alone is the last to use it.
    private let holder: FileLock

    private init(
        site: ClusterSite,
        binaries: PostgresBinaries,
        postmaster: Postmaster,
        isChild: Bool,
        holder: FileLock
    ) {
        self.site = site
        self.binaries = binaries
        self.holder = holder
        connection = PostgresConfiguration(
            conninfo: postmaster.conninfo(database: ClusterSite.databaseName)
        )
        wasAdopted = !isChild
        runsAs = site.runUser?.name
        server = Mutex(Server(postmaster: postmaster, isChild: isChild))
    }

    /// Returns the running cluster of the folder: adopted when it runs, else started, and made first
    /// when the folder is empty.
    ///
    /// Throws `PostgresClusterError`, and `DatabaseError` when the server answers with one.
    package static func start(_ configuration: Configuration) async throws -> PostgresCluster {
        // One start at a time, until the database is there.
        let (cluster, starting) = try await offPool { try startBlocking(configuration) }
        defer { starting.release() }
        do {
            let postmaster = cluster.server.withLock { $0.postmaster }
            try await cluster.site.createDatabase(postmaster.conninfo(database: "postgres"))
        } catch {
            // What was started here is not left running for nobody.
            if !cluster.wasAdopted { try? await offPool { try cluster.stopServer() } }
            throw error
        }
        return cluster
    }

    /// Stops the server, its open sessions too, unless another process uses it; once.
    ///
    /// Throws `PostgresClusterError` when the server does not end in time.
    package func stop() async throws {
        try await offPool { [self] in
            guard holder.upgradeToExclusive() else { return }
            defer { holder.release() }
            try stopServer()
        }
    }

    /// Starts the server again when it has ended, killed for example, at the same socket.
    ///
    /// Returns whether that was needed. Throws `PostgresClusterError` when it does not start.
    package func revive() async throws -> Bool {
        try await offPool { [self] in
            guard !isRunning else { return false }
            let starting = try FileLock(path: site.startLockPath, patience: site.patience)
            defer { starting.release() }
            let adopted = try site.adopt(binaries)
            let postmaster = try adopted ?? site.launch(binaries)
            server.withLock {
                $0 = Server(postmaster: postmaster, isChild: adopted == nil)
            }
            return true
        }
    }

    private var isRunning: Bool {
        server.withLock { server in
            // Also takes the exit status of a child that ended.
            if server.isChild, ServerProcess.ended(server.postmaster.processID) != nil {
                return false
            }
            return site.isServer(server.postmaster.processID)
        }
    }

    /// Stops the server and waits until its process is gone, child or adopted.
    private func stopServer() throws {
        let server = server.withLock { $0 }
        try site.stop(binaries)
        if server.isChild { ServerProcess.wait(for: server.postmaster.processID) }
    }

    private static func startBlocking(
        _ configuration: Configuration
    ) throws -> (cluster: PostgresCluster, starting: FileLock) {
        let site = try ClusterSite(configuration)
        try site.prepareFolder()
        let starting = try FileLock(path: site.startLockPath, patience: configuration.patience)
        let binaries = try PostgresBinaries.find(
            major: site.majorVersion(),
            cluster: site.folder,
            searched: configuration.binaryFolders ?? PostgresBinaries.usualFolders
        )
        if try site.majorVersion() == nil { try site.initialize(binaries) }
        let holder = try FileLock(sharing: site.useLockPath, patience: configuration.patience)
        let adopted = try site.adopt(binaries)
        let cluster = PostgresCluster(
            site: site,
            binaries: binaries,
            postmaster: try adopted ?? site.launch(binaries),
            isChild: adopted == nil,
            holder: holder
        )
        return (cluster, starting)
    }
}
