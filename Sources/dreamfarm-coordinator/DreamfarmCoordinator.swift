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
        subcommands: [Serve.self, Migrate.self, Check.self]
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

    /// Prints the effective settings after asking the database.
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Check the settings.")

        @OptionGroup var settings: CoordinatorOptions

        func run() async throws {
            print(try await settings.coordinator().check())
        }
    }
}

/// The settings of the coordinator, as flags over environment over defaults.
struct CoordinatorOptions: ParsableArguments {
    @Option(help: "The folder for everything the farm keeps (environment: DREAMFARM_DATA_DIR).")
    var dataDir: String?

    @Option(help: "Where to listen (environment: DREAMFARM_LISTEN).")
    var listen: String?

    @Option(help: "The database; without it a private one (environment: DREAMFARM_DATABASE_URL).")
    var databaseURL: String?

    @Option(help: "How long a lease lasts without a heartbeat (environment: DREAMFARM_LEASE).")
    var lease: String?

    @Option(help: "How often workers are heard of (environment: DREAMFARM_HEARTBEAT).")
    var heartbeat: String?

    @Flag(help: "Listen without TLS where other machines can reach.")
    var insecureListen = false

    /// The coordinator that the settings describe.
    func coordinator() throws -> Coordinator {
        let environment = ProcessInfo.processInfo.environment
        let address = listen ?? environment["DREAMFARM_LISTEN"] ?? FarmSettings.listenAddress
        guard let listen = ListenAddress(address) else {
            throw ValidationError("--listen must be like 127.0.0.1:8470, not '\(address)'")
        }
        let configuration = CoordinatorConfiguration(
            dataDirectory: FarmSettings.dataDirectory(
                dataDir,
                environment: environment,
                isRoot: geteuid() == 0
            ),
            listen: listen,
            databaseURL: databaseURL ?? environment["DREAMFARM_DATABASE_URL"],
            timing: LeaseTiming(
                lease: try duration(lease ?? environment["DREAMFARM_LEASE"], "--lease", 60),
                heartbeat: try duration(
                    heartbeat ?? environment["DREAMFARM_HEARTBEAT"],
                    "--heartbeat",
                    15
                )
            ),
            allowsInsecureListen: insecureListen
        )
        return Coordinator(configuration, logger: Logger(label: "dreamfarm.coordinator"))
    }

    private func duration(
        _ text: String?,
        _ name: String,
        _ standard: Double
    ) throws -> Duration {
        guard let text else { return .seconds(standard) }
        guard let duration = FarmSettings.duration(text), duration >= .milliseconds(100) else {
            throw ValidationError("\(name) must be like 8s, 2m or 1h, not '\(text)'")
        }
        return duration
    }
}

/// Writes a line to standard error.
private func complain(_ text: String) {
    _ = write(STDERR_FILENO, text, text.utf8.count)
}
