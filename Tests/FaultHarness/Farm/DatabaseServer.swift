import Foundation
import Glibc
import Postgres

/// A PostgreSQL apart from the coordinators, as a farm of several hosts has it.
///
/// `fsync` is off: what is under test are processes that die, and what a killed server has written the kernel keeps.
final class DatabaseServer: Sendable {
    let folder: String
    let control: FaultControl
    private let process: ManagedProcess

    /// The folder of the server's programs.
    static let programs: String = {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let newest = versions.max { (Double($0) ?? 0) < (Double($1) ?? 0) } ?? ""
        return "\(root)/\(newest)/bin"
    }()

    /// The server of the data in `folder/data`.
    ///
    /// - Parameters:
    ///   - folder: A folder of the account that runs the server; its socket is there.
    ///   - library: What stands before its C library.
    /// - Throws: ``HarnessError`` where the folder cannot be written to.
    init(folder: String, library: String) throws {
        self.folder = folder
        control = try FaultControl(path: "\(folder)/control")
        let (program, arguments) = Self.command(
            "postgres",
            [
                "-D", "\(folder)/data", "-k", folder, "-c", "listen_addresses=",
                "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=64MB",
                "-c", "max_connections=150", "-c", "track_activity_query_size=16384", "-c",
                "log_line_prefix=%m [%p] %a ",
            ]
        )
        process = ManagedProcess(
            "postgres",
            program,
            arguments,
            environment: control.environment(library: library, folder: "\(folder)/data"),
            folder: (folder as NSString).deletingLastPathComponent
        )
    }

    /// A connection string for those who are not under test.
    var conninfo: String { "host=\(folder) user=dreamfarm dbname=dreamfarm" }
    var socket: String { "\(folder)/.s.PGSQL.5432" }

    /// Makes a folder with an empty cluster and the database.
    static func make(in folder: String, library: String) async throws {
        try makeFolder(folder)
        let (program, arguments) = command(
            "initdb",
            [
                "-D", "\(folder)/data", "-A", "trust", "-U", "dreamfarm", "--no-sync",
                "--no-locale", "-E", "UTF8",
            ]
        )
        let above = (folder as NSString).deletingLastPathComponent
        _ = try await ManagedProcess.run("initdb", program, arguments, folder: above)
        let server = try DatabaseServer(folder: folder, library: library)
        try await server.start(database: "postgres")
        let pool = PostgresPool(
            PostgresConfiguration(conninfo: "host=\(folder) user=dreamfarm dbname=postgres")
        )
        try await pool.execute("CREATE DATABASE dreamfarm")
        await pool.close()
        try await server.stop()
    }

    /// Copies a cluster that does not run.
    static func copy(_ source: String, to folder: String) async throws {
        try makeFolder(folder)
        let above = (folder as NSString).deletingLastPathComponent
        _ = try await ManagedProcess.run(
            "copy",
            "/bin/cp",
            ["-a", "\(source)/data", "\(folder)/data"],
            folder: above
        )
    }

    /// Starts the server, and returns once it answers.
    func start(database: String = "dreamfarm") async throws {
        if process.processID == nil { try process.start() }
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            // A pool of its own each time: one that was refused waits longer and longer.
            let pool = PostgresPool(
                PostgresConfiguration(conninfo: "host=\(folder) user=dreamfarm dbname=\(database)")
            )
            var answers = Sockets.isListening(.path(socket))
            if answers { answers = (try? await pool.query("SELECT")) != nil }
            await pool.close()
            if answers { return }
            // What a killed server left in shared memory goes with its last session.
            if process.hasEnded { try process.start() }
            guard ContinuousClock.now < deadline else {
                throw HarnessError("PostgreSQL does not start:\n\(process.lastLines())")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Ends the server and its sessions at once, in order.
    func stop() async throws {
        process.signal(SIGINT)
        try await process.waitUntilEnded()
    }

    /// Ends the server without a checkpoint: the next start recovers.
    func stopAtOnce() async throws {
        process.signal(SIGQUIT)
        try await process.waitUntilEnded()
    }

    /// Kills the server and all its sessions, as a crash of its host does.
    func crash() async throws {
        freeze()
        let sessions = processes
        for session in sessions { kill(session, SIGKILL) }
        try await process.waitUntilEnded()
        let deadline = ContinuousClock.now + .seconds(10)
        while sessions.contains(where: Self.isRunning) {
            guard ContinuousClock.now < deadline else {
                throw HarnessError("PostgreSQL's sessions outlive it")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Whether a process is there and has not ended, its parent still to hear of it.
    private static func isRunning(_ process: Int32) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let state = text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).first
        else { return false }
        return state != "Z" && state != "X"
    }

    /// Stops the server and all its processes where they are.
    func freeze() {
        process.signal(SIGSTOP)
        for session in processes { kill(session, SIGSTOP) }
    }

    /// Lets them go on.
    func thaw() {
        for session in processes { kill(session, SIGCONT) }
    }

    /// The server's process and its children.
    private var processes: [Int32] {
        guard let process = process.processID else { return [] }
        let path = "/proc/\(process)/task/\(process)/children"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return [process] + text.split(separator: " ").compactMap { Int32($0) }
    }

    func lastLines() -> String { process.lastLines() }

    /// PostgreSQL refuses root: its programs run as the account that the distribution made for it.
    static func command(_ name: String, _ arguments: [String]) -> (String, [String]) {
        let program = "\(programs)/\(name)"
        guard geteuid() == 0 else { return (program, arguments) }
        return (
            "/usr/bin/setpriv",
            ["--reuid", "postgres", "--regid", "postgres", "--clear-groups", program] + arguments
        )
    }

    private static func makeFolder(_ folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard geteuid() == 0 else { return }
        guard let account = getpwnam("postgres"),
            chown(folder, account.pointee.pw_uid, account.pointee.pw_gid) == 0
        else { throw HarnessError("\(folder) cannot be given to postgres; install postgresql") }
    }
}
