import FoundationEssentials
import Glibc

/// The places of one private cluster and what is done to them; every call blocks.
struct ClusterSite: Sendable {
    /// The server's user, made by `initdb`.
    static let userName = "dreamfarm"
    static let databaseName = "dreamfarm"

    /// The number in the socket's name; there is no TCP.
    static let port = 5432

    /// The longest socket folder: `sun_path` has 108 bytes, the name `/.s.PGSQL.5432` takes 14 and
    /// the lock beside it 5 more.
    private static let longestSocketFolder = 107 - 14 - 5

    let folder: String
    let runUser: SystemUser?
    private let caller: SystemUser
    private let runtimeFolder: String
    private let isDurable: Bool
    let patience: Duration

    private var dataFolder: String { "\(folder)/data" }
    private var logPath: String { "\(folder)/postgres.log" }
    var startLockPath: String { "\(folder)/start.lock" }
    var useLockPath: String { "\(folder)/use.lock" }

    /// The account that owns the data.
    private var owner: SystemUser { runUser ?? caller }

    init(_ configuration: PostgresCluster.Configuration) throws(PostgresClusterError) {
        folder = Self.absolute(configuration.folder)
        isDurable = configuration.isDurable
        patience = configuration.patience
        caller = try SystemUser.current()
        runUser = caller.userID == 0 ? try SystemUser(named: configuration.systemUser) : nil
        if let runtime = configuration.runtimeFolder {
            runtimeFolder = Self.absolute(runtime)
        } else {
            runtimeFolder = Self.usualRuntimeFolder(of: folder, caller)
        }
        guard runtimeFolder.utf8.count <= Self.longestSocketFolder else {
            throw .unusable(
                path: runtimeFolder,
                reason: "too long for a socket (at most \(Self.longestSocketFolder) bytes)"
            )
        }
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    /// A short folder of its own for each cluster folder, in the place for runtime files.
    private static func usualRuntimeFolder(of folder: String, _ caller: SystemUser) -> String {
        // FNV-1a, 64 bit: it only has to tell the folders of one user apart.
        let hash = folder.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        let name = "dreamfarm-\(String(hash, radix: 16))"
        if caller.userID == 0, access("/run", W_OK) == 0 { return "/run/\(name)" }
        if let given = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }),
            given.hasPrefix("/"), access(given, W_OK) == 0,
            given.utf8.count + 1 + name.utf8.count <= longestSocketFolder
        {
            return "\(given)/\(name)"
        }
        return "/tmp/\(name)-\(caller.userID)"
    }

    // MARK: - Making

    /// Makes the folder and sees to it that the server's account can reach it.
    func prepareFolder() throws(PostgresClusterError) {
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
        } catch {
            throw .unusable(path: folder, reason: "cannot be made; check who owns the folder above")
        }
        guard let runUser else { return }
        var path = folder
        while !path.isEmpty {
            var status = stat()
            guard stat(path, &status) == 0 else { throw Self.failure(path) }
            guard status.st_mode & S_IXOTH != 0 || status.st_uid == runUser.userID else {
                throw .unusable(
                    path: path,
                    reason: """
                        the user \(runUser.name), who runs PostgreSQL, cannot enter it \
                        (`chmod o+x \(path)`, or another folder with --data-dir)
                        """
                )
            }
            path = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        }
    }

    /// The major version that made the data; nil when there is none yet.
    func majorVersion() throws(PostgresClusterError) -> String? {
        let path = "\(dataFolder)/PG_VERSION"
        guard access(path, F_OK) == 0 else { return nil }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw .unusable(path: path, reason: "cannot be read")
        }
        return String(text.prefix { !$0.isWhitespace })
    }

    /// Makes the data folder: aside first, then renamed, so that it is whole or not there.
    func initialize(_ binaries: PostgresBinaries) throws(PostgresClusterError) {
        let aside = "\(folder)/data.new"
        if access(aside, F_OK) == 0 {
            do {
                try FileManager.default.removeItem(atPath: aside)
            } catch {
                throw .unusable(path: aside, reason: "cannot be removed: \(error)")
            }
        }
        try makePrivateFolder(aside)
        var arguments = [
            "--pgdata=\(aside)", "--username=\(Self.userName)", "--auth=peer", "--no-locale",
            "--encoding=UTF8", "--no-instructions",
        ]
        if !isDurable { arguments.append("--no-sync") }
        let answer = try ServerProcess.run(binaries.path("initdb"), arguments, as: runUser)
        guard answer.status == 0 else {
            // What it has written, it takes away itself; this is for one that was killed.
            try? FileManager.default.removeItem(atPath: aside)
            throw .programFailed(
                program: "initdb",
                folder: folder,
                output: Self.reason(answer.output)
            )
        }
        guard rename(aside, dataFolder) == 0 else { throw Self.failure(dataFolder) }
    }

    private func makePrivateFolder(_ path: String) throws(PostgresClusterError) {
        guard mkdir(path, 0o700) == 0, chown(path, owner.userID, owner.groupID) == 0 else {
            throw Self.failure(path)
        }
    }

    /// Makes the socket's folder, or checks that the one that is there is ours alone.
    private func prepareRuntimeFolder() throws(PostgresClusterError) {
        guard access(runtimeFolder, F_OK) == 0 else { return try makePrivateFolder(runtimeFolder) }
        var status = stat()
        guard lstat(runtimeFolder, &status) == 0 else { throw Self.failure(runtimeFolder) }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == owner.userID,
            status.st_mode & 0o777 == 0o700
        else {
            throw .unusable(
                path: runtimeFolder,
                reason: "not a folder of \(owner.name) with mode 0700: remove it"
            )
        }
    }

    /// Writes who may connect: the caller and the server's account, both as the one database user.
    private func writeAccessRules() throws(PostgresClusterError) {
        let rules = "# Written at every start.\nlocal all all peer map=dreamfarm\n"
        let users = Set([caller.name, owner.name]).sorted()
        let map = users.map { "dreamfarm \"\($0)\" \(Self.userName)\n" }.joined()
        for (name, text) in [("pg_hba.conf", rules), ("pg_ident.conf", map)] {
            let path = "\(dataFolder)/\(name)"
            do {
                try text.write(toFile: path, atomically: true, encoding: .utf8)
            } catch {
                throw .unusable(path: path, reason: "cannot be written: \(error)")
            }
            guard chmod(path, 0o600) == 0, chown(path, owner.userID, owner.groupID) == 0 else {
                throw Self.failure(path)
            }
        }
    }

    // MARK: - Running

    /// Takes over the server that runs in the data folder; nil when none does.
    ///
    /// One that lives and does not answer, its socket swept away, is stopped.
    func adopt(_ binaries: PostgresBinaries) throws(PostgresClusterError) -> Postmaster? {
        guard let postmaster = Postmaster(dataFolder: dataFolder) else { return nil }
        let deadline = ContinuousClock.now.advanced(by: min(patience, .seconds(15)))
        while ContinuousClock.now < deadline {
            if serverAcceptsConnections(postmaster.conninfo(database: "postgres")) {
                return postmaster
            }
            guard Postmaster(dataFolder: dataFolder) != nil else { return nil }
            usleep(50_000)
        }
        try stop(binaries)
        return nil
    }

    /// Starts the server and returns once it answers.
    func launch(_ binaries: PostgresBinaries) throws(PostgresClusterError) -> Postmaster {
        try prepareRuntimeFolder()
        try writeAccessRules()
        // No server works in the folder, so a file that says otherwise was left by a crash; its
        // number may belong to another process by now, or to one that is dead and not taken off
        // the list yet, which would keep the server from starting.
        unlink("\(dataFolder)/postmaster.pid")
        unlink("\(runtimeFolder)/.s.PGSQL.\(Self.port).lock")
        let deadline = ContinuousClock.now.advanced(by: patience)
        while true {
            let postmaster = Postmaster(
                processID: try spawnServer(binaries),
                socketFolder: runtimeFolder
            )
            let conninfo = postmaster.conninfo(database: "postgres")
            while ServerProcess.ended(postmaster.processID) == nil {
                if serverAcceptsConnections(conninfo) { return postmaster }
                guard ContinuousClock.now < deadline else {
                    kill(postmaster.processID, SIGQUIT)
                    ServerProcess.wait(for: postmaster.processID)
                    throw startFailure("no answer within \(patience)")
                }
                usleep(20_000)
            }
            // Sessions of a server that was killed take a moment to notice; until then they hold
            // its shared memory.
            let log = lastLogLines()
            guard log.contains("pre-existing shared memory"), ContinuousClock.now < deadline else {
                throw startFailure(log.split(separator: "\n").last.map(String.init) ?? "no message")
            }
            usleep(200_000)
        }
    }

    private func spawnServer(_ binaries: PostgresBinaries) throws(PostgresClusterError) -> pid_t {
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW
        let log = open(logPath, flags, 0o600)
        guard log >= 0 else { throw Self.failure(logPath) }
        defer { close(log) }
        let settings = ServerSettings(
            runtimeFolder: runtimeFolder,
            port: Self.port,
            isDurable: isDurable,
            memory: ServerSettings.machineMemory()
        ).list
        let arguments = ["-D", dataFolder] + settings.flatMap { ["-c", $0] }
        return try ServerProcess.spawn(
            binaries.path("postgres"),
            arguments,
            as: runUser,
            output: log
        )
    }

    /// Stops the server of the data folder, ending its sessions, and waits for it.
    func stop(_ binaries: PostgresBinaries) throws(PostgresClusterError) {
        // The socket's folder goes with the server; one that holds anything else stays.
        defer { rmdir(runtimeFolder) }
        guard let postmaster = Postmaster(dataFolder: dataFolder) else { return }
        let seconds = max(1, patience.milliseconds / 1000)
        let answer = try ServerProcess.run(
            binaries.path("pg_ctl"),
            ["stop", "--pgdata=\(dataFolder)", "--mode=fast", "--wait", "--timeout=\(seconds)"],
            as: runUser
        )
        guard answer.status == 0 || Postmaster(dataFolder: dataFolder) == nil else {
            throw .programFailed(
                program: "pg_ctl stop",
                folder: folder,
                output: Self.lastLine(answer.output)
            )
        }
        // The server takes its file away a moment before it ends.
        let deadline = ContinuousClock.now.advanced(by: patience)
        while isServer(postmaster.processID) {
            guard ContinuousClock.now < deadline else {
                throw .unusable(
                    path: dataFolder,
                    reason: "the server \(postmaster.processID) does not end within \(patience)"
                )
            }
            usleep(10_000)
        }
    }

    /// Tells whether the process is a server of the data folder that lives.
    func isServer(_ id: Int32) -> Bool {
        Postmaster.isServer(id, of: dataFolder)
    }

    /// Creates the farm's database where it is not there yet.
    func createDatabase(_ conninfo: String) async throws {
        let connection = try await PostgresConnection.connect(
            PostgresConfiguration(conninfo: conninfo)
        )
        let found = try await connection.query(
            "SELECT FROM pg_database WHERE datname = \(Self.databaseName)"
        )
        if found.isEmpty {
            try await connection.execute("CREATE DATABASE \(raw: Self.databaseName)")
        }
        await connection.close()
    }

    // MARK: - Messages

    private func startFailure(_ lastLine: String) -> PostgresClusterError {
        .startFailed(folder: folder, log: logPath, lastLine: lastLine)
    }

    private func lastLogLines() -> String {
        let text = (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(5).joined(separator: "\n")
    }

    /// The line of a program's output that says why it failed; its last one only says what it does
    /// about that.
    private static func reason(_ output: String) -> String {
        let lines = output.split(separator: "\n").map(String.init)
        let marks = ["No space left on device", "FATAL:", "error:"]
        let found = marks.lazy.compactMap { mark in lines.first { $0.contains(mark) } }.first
        return found ?? lines.last ?? "no message"
    }

    private static func lastLine(_ text: String) -> String {
        text.split(separator: "\n").last.map(String.init) ?? "no message"
    }

    private static func failure(_ path: String) -> PostgresClusterError {
        .unusable(path: path, reason: String(cString: strerror(errno)))
    }
}
