import CLinux
import Glibc

/// Starts the programs of PostgreSQL, as another user where that is asked for.
///
/// Arguments are passed as they are, never through a shell. The environment is made here, so that
/// `PG…` variables of the caller have no effect.
enum ServerProcess {
    static let setpriv = "/usr/bin/setpriv"

    /// Runs a program to its end and returns its exit status and what it printed, blocking.
    static func run(
        _ program: String,
        _ arguments: [String],
        as user: SystemUser?,
        environment: [String: String] = [:],
        noting process: RunningProcess? = nil
    ) throws(PostgresClusterError) -> (status: Int32, output: String) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw failure(program) }
        defer { close(ends[0]) }
        let child: pid_t
        do {
            defer { close(ends[1]) }
            child = try spawn(
                program,
                arguments,
                as: user,
                environment: environment,
                output: ends[1]
            )
        }
        process?.began(child)
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count > 0 { output += buffer[..<count] }
            if count == 0 || (count < 0 && errno != EINTR) { break }
        }
        process?.ends()
        return (wait(for: child), String(decoding: output, as: UTF8.self))
    }

    /// Starts a program in a session of its own and returns its process id.
    ///
    /// A session of its own keeps the terminal's Ctrl-C and hang-up away from it; it lives on when
    /// this process is killed. `output` takes its standard output and error.
    static func spawn(
        _ program: String,
        _ arguments: [String],
        as user: SystemUser?,
        environment: [String: String] = [:],
        output: Int32
    ) throws(PostgresClusterError) -> pid_t {
        var command = [program] + arguments
        if let user {
            guard access(setpriv, X_OK) == 0 else {
                throw .toolMissing(path: setpriv, package: "util-linux")
            }
            command =
                [setpriv, "--reuid=\(user.userID)", "--regid=\(user.groupID)", "--init-groups"]
                + command
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        posix_spawn_file_actions_addchdir_np(&actions, "/")
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        sigfillset(&defaults)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var unblocked = sigset_t()
        sigemptyset(&unblocked)
        posix_spawnattr_setsigmask(&attributes, &unblocked)
        posix_spawnattr_setflags(
            &attributes,
            spawn_setsid | Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
        )
        let usual = [
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/",
        ]
        let environment = usual.merging(environment) { $1 }.map { "\($0.key)=\($0.value)" }
        var child: pid_t = 0
        let code = withCStrings(command) { words in
            withCStrings(environment) { variables in
                // `posix_spawn` takes mutable pointers for history's sake and writes to none.
                let words = words.map { $0.map { UnsafeMutablePointer(mutating: $0) } } + [nil]
                let variables =
                    variables.map { $0.map { UnsafeMutablePointer(mutating: $0) } } + [nil]
                return posix_spawn(&child, command[0], &actions, &attributes, words, variables)
            }
        }
        guard code == 0 else { throw failure(command[0], code) }
        return child
    }

    /// Waits for a child to end and returns its exit status, 128 and more for a signal.
    @discardableResult
    static func wait(for child: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return -1 }
        }
        return exitStatus(status)
    }

    /// Returns the exit status of a child that has ended; nil while it runs.
    static func ended(_ child: pid_t) -> Int32? {
        var status: Int32 = 0
        return waitpid(child, &status, WNOHANG) == child ? exitStatus(status) : nil
    }

    private static func exitStatus(_ status: Int32) -> Int32 {
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    private static func failure(_ path: String, _ code: Int32 = errno) -> PostgresClusterError {
        .unusable(path: path, reason: "cannot be started: \(String(cString: strerror(code)))")
    }
}
