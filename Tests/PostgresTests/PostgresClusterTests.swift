import Foundation
import Glibc
@testable import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct PostgresClusterTests {
    private func read(_ cluster: PostgresCluster, _ query: Query) async throws -> String {
        let pool = PostgresPool(cluster.connection)
        let rows = try await pool.query(query)
        await pool.close()
        return try #require(rows.first).decode("value")
    }

    @Test("a cluster keeps its data over stop and start, has no TCP and one private socket")
    func lifecycle() async throws {
        try await withSite { configuration in
            let first = try await PostgresCluster.start(configuration)
            #expect(!first.wasAdopted)
            #expect(first.runsAs == (geteuid() == 0 ? "postgres" : nil))
            #expect(
                try await read(first, "SELECT current_setting('listen_addresses') AS value") == ""
            )
            let user = "SELECT current_user || ' ' || current_database() AS value"
            #expect(try await read(first, Query(raw: user)) == "dreamfarm dreamfarm")
            let mode = try FileManager.default.attributesOfItem(
                atPath: try #require(configuration.runtimeFolder)
            )[.posixPermissions]
            #expect(mode as? Int == 0o700)
            let pool = PostgresPool(first.connection)
            try await pool.execute("CREATE TABLE kept AS SELECT 'here' AS value")
            await pool.close()
            try await first.stop()
            #expect(kill(first.processID, 0) != 0)
            let runtime = try #require(configuration.runtimeFolder)
            #expect(!FileManager.default.fileExists(atPath: runtime))

            let second = try await PostgresCluster.start(configuration)
            #expect(!second.wasAdopted)
            #expect(try await read(second, "SELECT value FROM kept") == "here")
            try await second.stop()
        }
    }

    @Test("without a runtime folder the socket is in a short private place of the machine")
    func usualRuntimeFolder() async throws {
        try await withSite { configuration in
            var configuration = configuration
            configuration.runtimeFolder = nil
            let cluster = try await PostgresCluster.start(configuration)
            let path = try await read(
                cluster,
                "SELECT current_setting('unix_socket_directories') AS value"
            )
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
            #expect(mode as? Int == 0o700)
            try await cluster.stop()
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test("the last user of a running cluster stops it, others leave it")
    func adoption() async throws {
        try await withSite { configuration in
            let first = try await PostgresCluster.start(configuration)
            let second = try await PostgresCluster.start(configuration)
            let third = try await PostgresCluster.start(configuration)
            #expect(second.wasAdopted)
            #expect(third.wasAdopted)
            #expect(second.processID == first.processID)
            try await second.stop()
            try await third.stop()
            #expect(try await read(first, "SELECT 'yes' AS value") == "yes")
            try await first.stop()
            #expect(kill(first.processID, 0) != 0)
        }
    }

    @Test("a server outlives its killed parent and is adopted")
    func orphan() async throws {
        try await withSite { configuration in
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [folder = configuration.folder as String] in
                var configuration = PostgresCluster.Configuration(folder: folder)
                configuration.runtimeFolder = "\(folder)/run"
                configuration.isDurable = false
                _ = try await PostgresCluster.start(configuration)
                kill(getpid(), SIGKILL)
            }
            let adopted = try await PostgresCluster.start(configuration)
            #expect(adopted.wasAdopted)
            #expect(try await read(adopted, "SELECT 'yes' AS value") == "yes")
            try await adopted.stop()
            let pidFile = "\(configuration.folder)/data/postmaster.pid"
            #expect(!FileManager.default.fileExists(atPath: pidFile))
        }
    }

    @Test("a server that was killed is started again, its stale pid file notwithstanding")
    func killedServer() async throws {
        try await withSite { configuration in
            let first = try await PostgresCluster.start(configuration)
            kill(first.processID, SIGKILL)
            var status: Int32 = 0
            waitpid(first.processID, &status, 0)
            // The number in the file belongs to a live process that is no server: this one.
            let pidFile = "\(configuration.folder)/data/postmaster.pid"
            let text = try String(contentsOfFile: pidFile, encoding: .utf8)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            let reused = (["\(getpid())"] + lines.dropFirst()).joined(separator: "\n")
            try reused.write(toFile: pidFile, atomically: false, encoding: .utf8)

            let second = try await PostgresCluster.start(configuration)
            #expect(!second.wasAdopted)
            #expect(second.processID != first.processID)
            #expect(try await read(second, "SELECT 'yes' AS value") == "yes")
            try await second.stop()
        }
    }

    @Test("a server that was killed under its user is started again at the same socket")
    func revival() async throws {
        try await withSite { configuration in
            let cluster = try await PostgresCluster.start(configuration)
            #expect(try await !cluster.revive())
            let killed = cluster.processID
            kill(killed, SIGKILL)
            // The process may take a moment to be gone; until then nothing is to be revived.
            while kill(killed, 0) == 0, try await !cluster.revive() {}
            #expect(cluster.processID != killed)
            #expect(try await read(cluster, "SELECT 'yes' AS value") == "yes")
            let revived = cluster.processID
            try await cluster.stop()
            #expect(kill(revived, 0) != 0)
        }
    }

    @Test("the command line tells a server of the folder where its working folder may not be read")
    func commandLine() throws {
        let path = "/tmp/dreamfarm-cmdline-\(getpid())"
        defer { unlink(path) }
        for (words, isServer) in [
            (["/usr/lib/postgresql/15/bin/postgres", "-D", "/data", "-c", "port=1"], true),
            (["/usr/lib/postgresql/15/bin/postgres", "-D", "/data2"], false),
            (["/usr/bin/tail", "-D", "/data"], false),
            (["/usr/lib/postgresql/15/bin/postgres", "-D"], false),
        ] {
            let text = words.map { $0 + "\0" }.joined()
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            #expect(Postmaster.namesFolder(commandLine: path, ["/data"]) == isServer)
        }
    }

    @Test("data of another major version is refused with both versions named")
    func majorVersion() async throws {
        try await withSite { configuration in
            let data = "\(configuration.folder)/data"
            try FileManager.default.createDirectory(
                atPath: data,
                withIntermediateDirectories: true
            )
            try "9.3\n".write(toFile: "\(data)/PG_VERSION", atomically: false, encoding: .utf8)
            let error = try await #require(throws: PostgresClusterError.self) {
                _ = try await PostgresCluster.start(configuration)
            }
            guard case .majorVersionMismatch(_, let made, let installed) = error else {
                throw error
            }
            #expect(made == "9.3")
            #expect(!installed.isEmpty)
            #expect("\(error)".contains("install the package postgresql-9.3"))
        }
    }

    @Test("the server runs with the settings of a queue")
    func settings() async throws {
        try await withSite { configuration in
            var configuration = configuration
            configuration.isDurable = true
            let cluster = try await PostgresCluster.start(configuration)
            for (name, value) in [
                ("autovacuum_vacuum_scale_factor", "0.05"),
                ("max_connections", "100"), ("synchronous_commit", "on"), ("fsync", "on"),
                ("wal_compression", "pglz"), ("checkpoint_timeout", "15min"), ("jit", "off"),
                ("listen_addresses", ""), ("unix_socket_permissions", "0700"),
            ] {
                let query: Query = "SELECT current_setting(\(name)) AS value"
                #expect(try await read(cluster, query) == value, "\(name)")
            }
            try await cluster.stop()
        }
    }

    @Test(
        "the server takes as much memory as the machine has for it",
        arguments: [(1 << 30, "64MB"), (2 << 30, "256MB"), (64 << 30, "256MB")]
    )
    func memory(bytes: Int, buffers: String) {
        let settings = ServerSettings(
            runtimeFolder: "/run/x",
            port: 1,
            isDurable: true,
            memory: bytes
        )
        #expect(settings.list.contains("shared_buffers=\(buffers)"))
        #expect(ServerSettings.machineMemory() > 0)
    }

    @Test("two that start on one folder at once share one server")
    func together() async throws {
        try await withSite { configuration in
            async let one = PostgresCluster.start(configuration)
            async let other = PostgresCluster.start(configuration)
            let clusters = [try await one, try await other]
            let starters = clusters.filter { !$0.wasAdopted }
            let adopters = clusters.filter(\.wasAdopted)
            let (starter, adopter) = (try #require(starters.first), try #require(adopters.first))
            #expect(starter.processID == adopter.processID)
            try await adopter.stop()
            #expect(try await read(starter, "SELECT 'yes' AS value") == "yes")
            try await starter.stop()
            #expect(kill(starter.processID, 0) != 0)
        }
    }

    @Test("a folder that the server's user cannot enter is refused with what to do")
    func closedFolder() async throws {
        try await withSite { configuration in
            try FileManager.default.createDirectory(
                atPath: configuration.folder,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            guard geteuid() == 0 else {
                // Who is not root runs the server itself, and needs nobody else to enter.
                return try await PostgresCluster.start(configuration).stop()
            }
            let error = try await #require(throws: PostgresClusterError.self) {
                _ = try await PostgresCluster.start(configuration)
            }
            #expect("\(error)".contains("the user postgres, who runs PostgreSQL, cannot enter it"))
            #expect("\(error)".contains("chmod o+x \(configuration.folder)"))
        }
    }

    @Test("a disk that is full while the data is made is named, and nothing half-made is left")
    func fullDisk() async throws {
        try await withSite { configuration in
            // Programs of which `initdb` finds no room.
            let programs = "\(configuration.folder)/programs"
            try FileManager.default.createDirectory(
                atPath: programs,
                withIntermediateDirectories: true
            )
            let full = """
                #!/bin/sh
                for word; do case $word in --pgdata=*) data=${word#--pgdata=};; esac; done
                echo 15 >"$data/PG_VERSION"
                echo "creating subdirectories ... initdb: error: could not create file: No space \
                left on device"
                echo "initdb: removing contents of data directory"
                exit 1
                """
            let version = "#!/bin/sh\necho 'postgres (PostgreSQL) 15.0'\n"
            for (name, text) in [("initdb", full), ("postgres", version), ("pg_ctl", version)] {
                // Written by another process: a file that this one has open cannot be run by a
                // child that was begun meanwhile.
                let write = "printf '%s' \"$1\" >\"$2\" && chmod 755 \"$2\""
                let arguments = ["-c", write, "sh", text, "\(programs)/\(name)"]
                #expect(try ServerProcess.run("/bin/sh", arguments, as: nil).status == 0)
            }
            var fake = configuration
            fake.binaryFolders = [programs]
            let error = try await #require(throws: PostgresClusterError.self) {
                _ = try await PostgresCluster.start(fake)
            }
            #expect("\(error)".contains("initdb failed for the database in"))
            #expect("\(error)".contains("No space left on device"))
            let left = try FileManager.default.contentsOfDirectory(atPath: configuration.folder)
            #expect(!left.contains { $0.hasPrefix("data") })
            // With room, the same folder will do.
            let cluster = try await PostgresCluster.start(configuration)
            #expect(!cluster.wasAdopted)
            try await cluster.stop()
        }
    }

    @Test("missing programs are an error that names the package")
    func noBinaries() async throws {
        try await withSite { configuration in
            var configuration = configuration
            configuration.binaryFolders = ["/nonexistent"]
            let error = try await #require(throws: PostgresClusterError.self) {
                _ = try await PostgresCluster.start(configuration)
            }
            #expect(error == .binariesMissing(searched: ["/nonexistent"]))
            #expect("\(error)".contains("apt-get install postgresql"))
        }
    }

    @Test("a runtime folder that others can enter is refused")
    func unsafeRuntimeFolder() async throws {
        try await withSite { configuration in
            let runtime = try #require(configuration.runtimeFolder)
            try FileManager.default.createDirectory(
                atPath: runtime,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o777]
            )
            let error = try await #require(throws: PostgresClusterError.self) {
                _ = try await PostgresCluster.start(configuration)
            }
            #expect("\(error)".contains("mode 0700: remove it"))
        }
    }

    @Test("a socket folder too long for a socket is refused before anything is made")
    func longRuntimeFolder() async throws {
        var configuration = PostgresCluster.Configuration(folder: "/tmp/dreamfarm-never-made")
        configuration.runtimeFolder = "/tmp/" + String(repeating: "x", count: 90)
        let error = try await #require(throws: PostgresClusterError.self) {
            _ = try await PostgresCluster.start(configuration)
        }
        #expect("\(error)".contains("too long for a socket (at most 88 bytes)"))
        #expect(!FileManager.default.fileExists(atPath: "/tmp/dreamfarm-never-made"))
    }
}
