import ArgumentParser
import FarmCoordinator
import FarmModel
import FoundationEssentials
import Glibc
import Logging

/// The command `dreamfarm-coordinator`.
@main
struct DreamfarmCoordinator: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dreamfarm-coordinator",
        abstract: "Keeps a farm's jobs and hands out its tasks.",
        version: FarmSettings.version,
        subcommands: [
            Serve.self, Migrate.self, Check.self, Audit.self, Backup.self, Restore.self,
        ]
    )

    /// Runs the command; usage errors exit with 2, others with 1.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let code as ExitCode {
            // What is wrong has been said.
            Glibc.exit(code.rawValue)
        } catch {
            let code = exitCode(for: error)
            guard code == .success || code == .validationFailure else {
                fail("\(error)")
            }
            guard code == .validationFailure else { exit(withError: error) }
            complain(fullMessage(for: error) + "\n")
            Glibc.exit(2)
        }
    }

    private static func fail(_ message: String) -> Never {
        complain("dreamfarm-coordinator: \(message)\n")
        Glibc.exit(1)
    }

    /// Serves the API until it is told to stop.
    struct Serve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Serve the farm.")

        @OptionGroup var settings: CoordinatorOptions

        func run() async throws {
            try await settings.coordinator().serve()
        }
    }

    /// Brings the database's schema up to date.
    struct Migrate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Bring the schema up to date.")

        @OptionGroup var settings: CoordinatorOptions

        func run() async throws {
            let applied = try await settings.coordinator().migrate()
            print(applied.isEmpty ? "the schema is up to date" : applied.joined(separator: "\n"))
        }
    }

    /// Looks for what should not be in the database.
    struct Audit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Look for what should not be in the database; exits with 1 when there is any."
        )

        @OptionGroup var settings: CoordinatorOptions

        func run() async throws {
            let report = try await settings.coordinator().audit()
            print(report.lines.joined(separator: "\n"))
            if !report.isClean { throw ExitCode.failure }
        }
    }

    /// Prints the effective settings after asking the database.
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Check the settings.")

        @OptionGroup var settings: CoordinatorOptions

        func run() async throws {
            print(try settings.effective())
            print(try await settings.coordinator().check())
        }
    }
}

/// Writes a line to standard error.
func complain(_ text: String) {
    _ = write(STDERR_FILENO, text, text.utf8.count)
}
