import ArgumentParser
import FarmClient
import FarmModel
import Glibc

/// The exit codes of the command.
enum FarmExit: Int32 {
    case done = 0
    case error = 1
    case usage = 2
    case jobFailed = 3
    case cancelled = 4
    case timedOut = 5
    case unreachable = 6

    /// The code that tells of `error`.
    init(_ error: any Error) {
        if case FarmClientError.unreachable = error { self = .unreachable } else { self = .error }
    }

    /// The code that tells how a job ended.
    init(_ state: JobState) {
        switch state {
        case .succeeded, .pending, .running, .paused: self = .done
        case .failed: self = .jobFailed
        case .cancelled: self = .cancelled
        }
    }

    /// Runs a command's work, and turns what it throws into a line and an exit code.
    ///
    /// - Parameter work: The work; its result is the code to exit with.
    /// - Throws: `ExitCode` where the code is not 0, and `ValidationError` as it is.
    static func run(_ work: () async throws -> FarmExit) async throws {
        let code: FarmExit
        do {
            code = try await work()
        } catch let error as ValidationError {
            throw error
        } catch {
            StandardError.write("dreamfarm: \(error)\n")
            code = FarmExit(error)
        }
        if code != .done { throw ExitCode(code.rawValue) }
    }
}

extension AsyncParsableCommand {
    /// Parses the command line and runs the command, with usage errors as exit code 2.
    static func runAsMain() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let code = exitCode(for: error)
            guard code == .validationFailure else { exit(withError: error) }
            StandardError.write(fullMessage(for: error) + "\n")
            Glibc.exit(FarmExit.usage.rawValue)
        }
    }
}
