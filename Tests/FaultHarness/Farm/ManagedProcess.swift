import Foundation
import Glibc
import Synchronization

/// A program under test: it can be killed, stopped, and started again as it was.
final class ManagedProcess: Sendable {
    let name: String
    private let program: String
    private let arguments: [String]
    private let environment: [String: String]
    private let log: String
    private let running = Mutex<Int32?>(nil)

    /// - Parameters:
    ///   - name: What it is called, in its log file's name, too.
    ///   - program: Its path.
    ///   - arguments: Its arguments.
    ///   - environment: What its environment has besides the harness's own.
    ///   - folder: Where its log is.
    init(
        _ name: String,
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        folder: String
    ) {
        self.name = name
        self.program = program
        self.arguments = arguments
        self.environment = ProcessInfo.processInfo.environment
            .merging(environment) { _, new in new }
        log = "\(folder)/\(name).log"
    }

    /// The process's id; nil while it does not run.
    var processID: Int32? { running.withLock { $0 } }

    /// Starts it, its output behind what it said before.
    func start() throws {
        try running.withLock { running in
            guard running == nil else { throw HarnessError("\(name) runs already") }
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_addopen(
                &actions,
                1,
                log,
                O_WRONLY | O_CREAT | O_APPEND,
                0o644
            )
            posix_spawn_file_actions_adddup2(&actions, 1, 2)
            var process: Int32 = 0
            let status = Self.withCStrings([program] + arguments) { arguments in
                Self.withCStrings(environment.map { "\($0.key)=\($0.value)" }) { environment in
                    posix_spawn(&process, program, &actions, nil, arguments, environment)
                }
            }
            guard status == 0 else {
                throw HarnessError(
                    "\(program) cannot be started: \(String(cString: strerror(status)))"
                )
            }
            running = process
        }
    }

    /// Sends it a signal.
    func signal(_ signal: Int32) {
        if let process = processID { _ = Glibc.kill(process, signal) }
    }

    /// Whether it has ended by itself; takes its exit status then.
    var hasEnded: Bool {
        running.withLock { running in
            guard let process = running else { return true }
            var status: Int32 = 0
            guard waitpid(process, &status, WNOHANG) != 0 else { return false }
            running = nil
            return true
        }
    }

    /// Waits until it has ended.
    func waitUntilEnded(within limit: Duration = .seconds(30)) async throws {
        let deadline = ContinuousClock.now + limit
        while !hasEnded {
            guard ContinuousClock.now < deadline else {
                throw HarnessError("\(name) does not end:\n\(lastLines())")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Ends it as a crash does, stopped or not.
    func kill() async throws {
        signal(SIGKILL)
        try await waitUntilEnded()
    }

    /// The last lines that it said.
    func lastLines(_ count: Int = 15) -> String {
        let data = FileManager.default.contents(atPath: log) ?? Data()
        return String(decoding: data.suffix(100_000), as: UTF8.self).split(separator: "\n")
            .suffix(count).joined(separator: "\n")
    }

    /// Runs a program to its end.
    ///
    /// - Returns: What it wrote to its log.
    /// - Throws: ``HarnessError`` where it exits with anything but 0.
    static func run(
        _ name: String,
        _ program: String,
        _ arguments: [String],
        folder: String,
        within limit: Duration = .seconds(120)
    ) async throws -> String {
        let log = "\(folder)/\(name).log"
        try? FileManager.default.removeItem(atPath: log)
        let process = ManagedProcess(name, program, arguments, folder: folder)
        try process.start()
        let status = try await process.exitStatus(within: limit)
        let output = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        guard status == 0 else { throw HarnessError("\(program) exits with \(status):\n\(output)") }
        return output
    }

    /// Waits for its end; returns its exit status, or 128 and the signal that ended it.
    func exitStatus(within limit: Duration) async throws -> Int32 {
        let deadline = ContinuousClock.now + limit
        while true {
            let ended: Int32? = running.withLock { running in
                guard let process = running else { return 127 }
                var status: Int32 = 0
                guard waitpid(process, &status, WNOHANG) != 0 else { return nil }
                running = nil
                return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
            }
            if let ended { return ended }
            guard ContinuousClock.now < deadline else {
                try await kill()
                throw HarnessError("\(name) takes longer than \(limit)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func withCStrings<Result>(
        _ strings: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
