import CLibPQ
import FoundationEssentials
import Glibc
import Synchronization

/// Why a database could not be written to a file, or read from one.
package enum PostgresArchiveError: Error, Sendable, Hashable, CustomStringConvertible {
    /// No `pg_dump` and `pg_restore` that understand this server were found.
    case toolsMissing(major: Int, searched: [String])
    /// One of them ended with an error.
    case failed(program: String, output: String)

    package var description: String {
        switch self {
        case .toolsMissing(let major, let searched):
            """
            no pg_dump and pg_restore of PostgreSQL \(major) or later in \
            \(searched.joined(separator: ", ")): install the package postgresql-client-\(major)
            """
        case .failed(let program, let output): "\(program) failed: \(output)"
        }
    }
}

/// A whole database as a file: by `pg_dump` and `pg_restore`, whose files another major version of the
/// server reads too.
///
/// The programs reach the server as this process does. What that takes, a password too, they get in
/// their environment, never as arguments.
package struct PostgresArchive: Sendable {
    private let pool: PostgresPool

    /// An archive of the database that the pool is of.
    package init(_ pool: PostgresPool) {
        self.pool = pool
    }

    /// Writes the database to a file.
    ///
    /// - Parameters:
    ///   - path: The file, which is made or replaced.
    ///   - snapshot: What `pg_export_snapshot()` said in a transaction that is open meanwhile.
    /// - Throws: ``PostgresArchiveError``, `DatabaseError`, `CancellationError`.
    package func dump(to path: String, snapshot: String) async throws {
        try await run(
            "pg_dump",
            [
                "--format=custom", "--no-owner", "--no-privileges", "--snapshot=\(snapshot)",
                "--lock-wait-timeout=60s", "--no-password", "--file=\(path)",
            ]
        )
    }

    /// Fills the database, which has to be empty, from a file: all of it, or nothing.
    ///
    /// - Parameter path: What ``dump(to:snapshot:)`` has written.
    /// - Throws: ``PostgresArchiveError``, `DatabaseError`, `CancellationError`.
    package func restore(from path: String) async throws {
        let name = try await pool.query("SELECT current_database() AS name").first
        try await run(
            "pg_restore",
            [
                "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges",
                "--no-password", "--dbname=\(try name?.decode("name", as: String.self) ?? "")",
                path,
            ]
        )
    }

    private func run(_ program: String, _ arguments: [String]) async throws {
        let (environment, major) = try await pool.withConnection { connection in
            let version = try await connection.query("SHOW server_version_num").first
            let number = try version?.decode("server_version_num", as: String.self)
            return (await connection.environment, (number.flatMap { Int($0) } ?? 0) / 10_000)
        }
        let path = try await offPool { try Self.find(program, for: major) }
        // Certificates may lie in the home folder's place for them.
        let home = getenv("HOME").map { ["HOME": String(cString: $0)] } ?? [:]
        // Killed, this process takes the program along.
        let command = ServerProcess.endingWithParent([path] + arguments)
        let (status, output) = try await ServerProcess.runCancellable(
            command[0],
            Array(command[1...]),
            environment.merging(home) { $1 }
        )
        try Task.checkCancellation()
        guard status == 0 else {
            throw PostgresArchiveError.failed(
                program: program,
                output: output.trimmingCharacters(of: [" ", "\n"])
            )
        }
    }

    /// The program of the server's own version, else of the next later one.
    private static func find(_ program: String, for major: Int) throws -> String {
        let folders = PostgresBinaries.usualFolders
        let found = folders.compactMap { folder -> (path: String, major: Int)? in
            let path = "\(folder)/\(program)"
            guard access(path, X_OK) == 0,
                let answer = try? ServerProcess.run(path, ["--version"], as: nil),
                answer.status == 0, let version = PostgresBinaries.major(in: answer.output)
            else { return nil }
            return (path, Int(version) ?? 0)
        }
        let fit = found.filter { $0.major >= major }.min { $0.major < $1.major }
        guard let fit else {
            throw PostgresArchiveError.toolsMissing(major: major, searched: folders)
        }
        return fit.path
    }
}

extension ServerHandle {
    /// What the connection was opened with, as variables that every program over libpq reads.
    var environment: [String: String] {
        guard let options = PQconninfo(connection) else { return [:] }
        defer { PQconninfoFree(options) }
        var environment: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            defer { option += 1 }
            let isName = strcmp(keyword, "application_name") == 0
            guard let variable = option.pointee.envvar, let value = option.pointee.val,
                value.pointee != 0, !isName
            else { continue }
            environment[String(cString: variable)] = String(cString: value)
        }
        return environment
    }
}

extension ServerProcess {
    /// The command that runs another, and ends it where the thread that started it ends; the same where
    /// the system has no program for that.
    fileprivate static func endingWithParent(_ command: [String]) -> [String] {
        access(setpriv, X_OK) == 0 ? [setpriv, "--pdeathsig", "TERM"] + command : command
    }

    /// Runs a program to its end, which comes at once when the task is cancelled.
    ///
    /// - Returns: Its exit status, and what it printed.
    fileprivate static func runCancellable(
        _ program: String,
        _ arguments: [String],
        _ environment: [String: String]
    ) async throws -> (status: Int32, output: String) {
        let process = RunningProcess()
        return try await withTaskCancellationHandler {
            try await offPool {
                try run(program, arguments, as: nil, environment: environment, noting: process)
            }
        } onCancel: {
            process.end()
        }
    }
}

/// A program that can be asked to end while it runs.
final class RunningProcess: Sendable {
    private struct State {
        var id: pid_t?
        var isToEnd = false
    }

    private let state = Mutex(State())

    /// Notes that it runs; to be called before it can be waited for.
    func began(_ id: pid_t) {
        let isToEnd = state.withLock { state in
            state.id = id
            return state.isToEnd
        }
        if isToEnd { end() }
    }

    /// Notes that it is about to be waited for, after which its number may be another's.
    func ends() {
        state.withLock { $0.id = nil }
    }

    /// Asks it to end, now or as soon as it runs.
    func end() {
        state.withLock { state in
            state.isToEnd = true
            if let id = state.id { kill(id, SIGTERM) }
        }
    }
}

extension String {
    fileprivate func trimmingCharacters(of set: Set<Character>) -> String {
        var text = self[...]
        while let first = text.first, set.contains(first) { text.removeFirst() }
        while let last = text.last, set.contains(last) { text.removeLast() }
        return String(text)
    }
}
