import ArgumentParser
import FarmClient
import FarmModel
import FarmWorker
import Glibc
import Logging
import Telemetry

/// The command `dreamfarm-worker`.
@main
struct DreamfarmWorker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dreamfarm-worker",
        abstract: "Holds a model in memory and renders a farm's tasks.",
        version: FarmSettings.version,
        subcommands: [Run.self, Fetch.self]
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
        } catch let error where error is SettingsError || error is TraceSettingsError {
            complain("dreamfarm-worker: \(error)\n")
            Glibc.exit(2)
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
        static let configuration = CommandConfiguration(
            abstract: "Render the farm's tasks.",
            discussion: """
                The first SIGTERM or SIGINT drains: --drain says how. The second stops now.
                """
        )

        @OptionGroup var options: WorkerOptions

        func run() async throws {
            try options.access.bootstrapLog()
            let settings = try options.settings()
            let logger = Logger(label: "dreamfarm.worker")
            let exporter = settings.exporter(logger: logger)
            exporter?.tracer.bootstrap()
            let tracer = exporter?.tracer ?? .off
            let metrics = WorkerMetrics(tracer: tracer)
            let endpoint = settings.metricsListen.map {
                WorkerEndpoint($0, of: metrics, logger: logger)
            }
            try await SignalledWorker(logger: logger, endpoint: endpoint, exporter: exporter).run {
                logger in
                var worker = settings.worker
                worker.metrics = metrics
                worker.tracer = tracer
                worker.machine?.metrics = try await endpoint?.address(
                    toward: settings.client.coordinator
                )
                worker.instance = try await .take(worker.name, in: worker.dataFolder)
                worker.credential = try settings.credential(of: worker.instance)
                if let fetch = settings.fetch {
                    try await WorkerCredential.presenting(worker.credential) { _ in
                        try await ModelFetch(source: settings.client) { logger.notice("\($0)") }
                            .ensure(fetch.name, at: fetch.folder)
                    }
                }
                let renderer: any ImageRenderer
                if let group = settings.group {
                    let member = try await GroupRenderer(settings.renderer) { line in
                        logger.info("\(line)")
                    }
                    worker.group = try await member.prepare(group, memory: worker.memory)
                    renderer = member
                } else {
                    renderer = try await PipelineRenderer(settings.renderer) { line in
                        logger.info("\(line)")
                    }
                }
                return WorkerService(
                    calls: settings.client,
                    renderer: renderer,
                    configuration: worker,
                    logger: logger
                )
            }
        }
    }

    /// Copies a registered model's files to this machine.
    struct Fetch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Copy a registered model's files from the farm.",
            discussion: "An interrupted copy goes on where it ended; every file is verified."
        )

        @OptionGroup var access: FarmAccessOptions

        @Argument(help: "The model's registered name.")
        var model: String

        @Option(help: "The directory to make.")
        var to: String

        func run() async throws {
            let layers = try access.layers()
            guard let token = try access.bearerToken(layers) else {
                throw FarmClientError.noToken(
                    path: FarmSettings.tokenFile(in: try access.dataDirectory(layers))
                )
            }
            let client = try access.client(layers, showing: BearerToken(token))
            try await ModelFetch(source: client) { complain($0 + "\n") }.fetch(model, to: to)
        }
    }
}

/// Writes a line to standard error.
func complain(_ text: String) {
    _ = write(STDERR_FILENO, text, text.utf8.count)
}
