import ArgumentParser
import FarmClient
import FarmModel
import Glibc
import Imaging

/// The exit codes of the command.
enum CommandExit: Int32 {
    case done = 0
    case error = 1
    case usage = 2
    case jobFailed = 3
    case cancelled = 4
    case timedOut = 5
    case unreachable = 6
    case noWorkerOfClass = 7

    /// The code that tells of `error`.
    init(_ error: any Error) {
        switch error {
        case FarmClientError.unreachable: self = .unreachable
        case VerificationError.noWorker, VerificationError.noGroup: self = .noWorkerOfClass
        case VerificationError.timedOut: self = .timedOut
        case is Interruption.Interrupted: self = .cancelled
        default: self = .error
        }
    }

    /// The code that tells how a job ended.
    init(_ state: JobState) {
        switch state {
        case .succeeded, .pending, .running, .paused, .drafted: self = .done
        case .failed: self = .jobFailed
        case .cancelled: self = .cancelled
        }
    }

    /// Runs a command's work, and turns its result into an exit code.
    ///
    /// - Parameter work: The work; its result is the code to exit with.
    /// - Throws: `ExitCode` where the code is not 0, and what `work` throws.
    static func run(_ work: () async throws -> CommandExit) async throws {
        let code = try await work()
        if code != .done { throw ExitCode(code.rawValue) }
    }

    /// Says on standard error what ended the command, a line for each problem.
    ///
    /// - Parameter error: What a command threw.
    /// - Returns: The code to exit with.
    static func report(_ error: any Error) -> CommandExit {
        for problem in problems(of: error) {
            StandardError.write("error: \(shown(problem))\n")
        }
        return CommandExit(error)
    }

    /// What an error says: of a job, every problem that was found in it.
    static func problems(of error: any Error) -> [String] {
        let list =
            switch error {
            case let error as JobSpecificationError: error.problems
            case FarmClientError.refused(let answer): answer.problems ?? []
            default: [SpecificationProblem]()
            }
        return list.isEmpty ? ["\(error)"] : list.map(\.description)
    }
}

extension AsyncParsableCommand {
    /// Parses the command line, runs the command, and exits with one of ``CommandExit``.
    static func runAsMain() async {
        openStandardStreams()
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            switch exitCode(for: error) {
            case .validationFailure:
                let message = fullMessage(for: error)
                let marker = "Error: "
                StandardError.write(
                    (message.hasPrefix(marker) ? "error: " : "")
                        + message.dropFirst(message.hasPrefix(marker) ? marker.count : 0) + "\n"
                )
                Glibc.exit(CommandExit.usage.rawValue)
            case .success:
                exit(withError: error)
            case let code:
                if error is ExitCode { Glibc.exit(code.rawValue) }
                Glibc.exit(CommandExit.report(error).rawValue)
            }
        }
    }
}

/// Opens those of the standard streams that the caller closed.
///
/// Without this the first file that is opened takes the descriptor, and messages land in it.
private func openStandardStreams() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
        _ = open("/dev/null", O_RDWR)
    }
}
