import ArgumentParser
import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// The command `dreamfarm-worker`.
@main
struct DreamfarmWorker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dreamfarm-worker",
        abstract: "Holds a model in memory and renders a farm's tasks.",
        version: FarmSettings.version,
        subcommands: [Run.self]
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
                complain("dreamfarm-worker: \(error)\n")
                Glibc.exit(1)
            }
            guard code == .validationFailure else { exit(withError: error) }
            complain(fullMessage(for: error) + "\n")
            Glibc.exit(2)
        }
    }

    /// Renders until it is told to stop.
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Render the farm's tasks.")

        @OptionGroup var settings: WorkerOptions

        func run() async throws {
            let logger = Logger(label: "dreamfarm.worker")
            let worker = WorkerService(
                calls: try settings.client(),
                renderer: try await makeRenderer(settings, logger: logger),
                configuration: settings.configuration,
                logger: logger
            )
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: [
                        .init(
                            service: worker,
                            successTerminationBehavior: .gracefullyShutdownGroup
                        )
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint],
                    logger: logger
                )
            )
            try await group.run()
        }
    }
}

/// The settings of a worker, as flags over environment over defaults.
struct WorkerOptions: ParsableArguments {
    @Option(help: "The coordinator's address (environment: DREAMFARM_COORDINATOR).")
    var coordinator: String?

    @Option(help: "The token to show (environment: DREAMFARM_TOKEN).")
    var token: String?

    @Option(help: "The data folder: the token's, and for references (DREAMFARM_DATA_DIR).")
    var dataDir: String?

    @Option(help: "The model's directory.")
    var model: String

    @Option(help: "The name to record the model under; its directory's when left out.")
    var modelName: String?

    @Option(help: "The worker's name; its host and process when left out.")
    var name: String?

    @Option(help: "The pool the worker belongs to.")
    var pool = "default"

    @Option(help: "How many threads compute; all cores when left out.")
    var threads: Int?

    @Option(help: "The DreamO adapters: v1, v1.1 or none.")
    var adapters: String?

    @Flag(help: "Leave the turbo adapter out.")
    var noTurbo = false

    func validate() throws {
        if let threads, threads < 1 {
            throw ValidationError("--threads must be at least 1, not \(threads)")
        }
    }

    private var environment: [String: String] { ProcessInfo.processInfo.environment }

    private var dataDirectory: String {
        FarmSettings.dataDirectory(dataDir, environment: environment, isRoot: geteuid() == 0)
    }

    /// The name under which the farm records the model.
    var registeredName: String {
        modelName ?? model.split(separator: "/").last.map(String.init) ?? model
    }

    /// A client of the coordinator that the settings name.
    func client() throws -> CoordinatorClient {
        try CoordinatorClient(
            coordinator: coordinator,
            token: token,
            dataDirectory: dataDirectory,
            environment: environment
        )
    }

    /// The worker that the settings describe.
    var configuration: WorkerConfiguration {
        let host = ProcessInfo.processInfo.hostName
        return WorkerConfiguration(
            name: name ?? "\(host)-\(getpid())",
            pool: pool,
            cacheFolder: dataDirectory + "/references"
        )
    }
}

/// Writes a line to standard error.
private func complain(_ text: String) {
    _ = write(STDERR_FILENO, text, text.utf8.count)
}
