import ArgumentParser
import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Glibc
import HTTPTransport
import Logging
import Telemetry
import Tensors

/// Where the coordinator is and what this process keeps, for every command.
struct FarmAccessOptions: ParsableArguments {
    @Option(help: "A file of settings, named like the flags: 'pool: day'.")
    var config: String?

    @Option(help: "The coordinator's address (environment: DREAMFARM_COORDINATOR).")
    var coordinator: String?

    @Option(help: "The token to show (environment: DREAMFARM_TOKEN).")
    var token: String?

    @Option(help: "The authority that signed the coordinator's certificate, PEM.")
    var tlsCA: String?

    @Option(help: "The certificate to show to a coordinator that asks for one, PEM.")
    var tlsCertificate: String?

    @Option(help: "The certificate's private key, PEM.")
    var tlsKey: String?

    @Option(help: "The data folder: the token's, caches, models (DREAMFARM_DATA_DIR).")
    var dataDir: String?

    @Option(help: "How lines of the log are written: text, or json, an object a line.")
    var logFormat: String?

    /// The names of all settings, those of the farm's other processes included: one file may
    /// serve all of them.
    private static let known: Set<String> = [
        "adapters", "audit-share", "blob-reserve", "blob-store", "capacity-target",
        "checkpoint-interval", "condition-cache", "condition-memory", "coordinator", "data-dir",
        "database-url", "drain", "drain-grace", "group", "group-listen", "heartbeat",
        "insecure-listen", "keep-checkpoints", "keep-drafts", "keep-history", "keep-logs",
        "keep-outputs",
        "kernels", "lease", "listen", "log-format", "memory", "metrics-listen", "metrics-open",
        "model", "model-name", "name", "no-turbo", "oidc-algorithms", "oidc-audience", "oidc-ca",
        "oidc-issuer", "oidc-keys", "oidc-owner-claim", "oidc-role-claim", "oidc-roles",
        "otlp-endpoint", "otlp-headers", "pool",
        "precision", "preempt-quantum", "preemption", "reference-cache", "request-rate", "spool",
        "tag", "threads", "tls-ca",
        "tls-certificate", "tls-client-ca", "tls-key", "token", "webhook-secret",
        "trace-sample", "webhooks-private", "worker-credential",
    ]

    /// The settings that the flags lie over.
    func layers() throws -> LayeredSettings {
        try LayeredSettings(file: config, environment: environment, known: Self.known)
    }

    /// Makes every logger that is made from now on write as the settings say; to be called once.
    func bootstrapLog() throws {
        let format: LogFormat? = try layers().choice("log-format", logFormat)
        (format ?? .text).bootstrap()
    }

    private var environment: [String: String] { ProcessInfo.processInfo.environment }

    func dataDirectory(_ layers: LayeredSettings) throws -> String {
        FarmSettings.dataDirectory(
            try layers.text("data-dir", dataDir),
            environment: environment,
            isRoot: geteuid() == 0
        )
    }

    /// The token that the settings name, else that of a coordinator of this machine; nil for none.
    func bearerToken(_ layers: LayeredSettings) throws -> String? {
        if let token = try layers.text("token", token) { return token }
        let folder = try dataDirectory(layers)
        return try? CoordinatorClient.localToken(in: folder)
    }

    /// A client of the coordinator that the settings name.
    func client(_ layers: LayeredSettings, showing bearer: BearerToken) throws -> CoordinatorClient
    {
        CoordinatorClient(
            coordinator: try layers.text("coordinator", coordinator) ?? FarmSettings.coordinator,
            bearer: bearer,
            transport: HTTPClient(
                tls: HTTPClientTLS(
                    authorities: try layers.text("tls-ca", tlsCA),
                    certificate: try layers.text("tls-certificate", tlsCertificate),
                    key: try layers.text("tls-key", tlsKey)
                )
            )
        )
    }
}

/// The settings of a worker, as flags over environment over file over defaults.
struct WorkerOptions: ParsableArguments {
    @OptionGroup var access: FarmAccessOptions

    @Option(help: "The model: a directory, or the name of a registered one, which is fetched.")
    var model: String?

    @Option(help: "The name to record the model under; its directory's when left out.")
    var modelName: String?

    @Option(help: "The worker's name; its host's when left out.")
    var name: String?

    @Option(help: "The pool the worker belongs to.")
    var pool: String?

    @Option(help: "A tag that jobs can ask for; may be given several times.")
    var tag: [String] = []

    @Option(help: "float32, bfloat16, int8 or int4; the model's or the fastest when left out.")
    var precision: String?

    @Option(help: "The instructions they use, as avx2; the best of this processor if left out.")
    var kernels: String?

    @Option(help: "How many threads compute; all cores when left out.")
    var threads: String?

    @Option(help: "Memory for rendering, as 16GiB; what is free when left out.")
    var memory: String?

    @Option(help: "Render with others: auto for any group, or NAME/SIZE for one of that name.")
    var group: String?

    @Option(help: "The interface or address for a group's traffic; without it, the coordinator's.")
    var groupListen: String?

    @Option(help: "The DreamO adapters: v1, v1.1 or none.")
    var adapters: String?

    @Flag(help: "Leave the turbo adapter out.")
    var noTurbo = false

    @Option(help: "On SIGTERM: finish the picture, or release it at the next step.")
    var drain: String?

    @Option(help: "How long a drain waits for its picture and the coordinator, as 5m.")
    var drainGrace: String?

    @Option(help: "The least work between two checkpoints, as 5s.")
    var checkpointInterval: String?

    @Option(help: "Disk for downloaded references, as 4GiB.")
    var referenceCache: String?

    @Option(help: "Disk for computed conditions, as 4GiB.")
    var conditionCache: String?

    @Option(help: "Memory for computed conditions, as 256MiB.")
    var conditionMemory: String?

    @Option(help: "Room for pictures that wait for the coordinator, as 2GiB.")
    var spool: String?

    @Option(
        help: "Where to serve /metrics, /healthz and /readyz, as 127.0.0.1:9470; off if left out."
    )
    var metricsListen: String?

    @Flag(help: "Serve them where other machines can reach.")
    var insecureListen = false

    @Option(
        help:
            "The collector that takes traces over OTLP, as http://collector:4318; none if left out."
    )
    var otlpEndpoint: String?

    @Option(help: "What is sent with them, as authorization=Bearer%20….")
    var otlpHeaders: String?

    @Option(
        help: "The share of traces that begin here and are kept, as 0.1 or 10%; all if left out."
    )
    var traceSample: String?

    /// What the settings come to.
    struct Settings {
        var worker: WorkerConfiguration
        var renderer: PipelineRenderer.Configuration
        var client: CoordinatorClient
        /// What the client shows; empty before a token or key is known.
        var bearer: BearerToken
        /// The token that the settings name; nil for none.
        var token: String?
        /// The registered model that has to be in its folder first; nil for a directory.
        var fetch: (name: String, folder: String)?
        /// How it takes part in groups; nil for not at all.
        var group: GroupSettings?
        /// Where it serves its metrics; nil for nowhere.
        var metricsListen: ListenAddress?
        /// Where spans go; nil for nowhere.
        var traces: TraceSettings?

        /// What exports spans, where there is a collector for them.
        func exporter(logger: Logger) -> OTLPExporter? {
            traces.map { traces in
                OTLPExporter(
                    traces,
                    of: .program(
                        "dreamfarm-worker",
                        version: FarmSettings.version,
                        [
                            ("dreamfarm.worker.name", worker.name),
                            ("dreamfarm.pool", worker.pool),
                        ]
                    ),
                    logger: logger
                )
            }
        }

        /// The key of its own of who joins, or joined before; nil for who shows a token.
        ///
        /// - Throws: ``WorkerCredentialError`` where it cannot be read, and
        ///   ``FarmClientError/noToken(path:)`` where there is neither token nor key.
        func credential(of instance: WorkerInstance) throws -> WorkerCredential? {
            let folder = worker.dataFolder
            if let token, !token.hasPrefix(WorkerKey.joinPrefix) { return nil }
            guard token != nil || WorkerCredential.isKept(of: instance, in: folder) else {
                throw FarmClientError.noToken(path: FarmSettings.tokenFile(in: folder))
            }
            return try WorkerCredential(of: instance, in: folder, token: token, bearer: bearer)
        }
    }

    /// Reads and checks every setting.
    func settings() throws -> Settings {
        let layers = try access.layers()
        let data = try access.dataDirectory(layers)
        guard let model = try layers.text("model", model) else {
            throw SettingsError.missing(name: "model")
        }
        let isDirectory = model.contains("/") || FileManager.default.fileExists(atPath: model)
        let path = isDirectory ? model : "\(data)/models/\(model)"
        var renderer = PipelineRenderer.Configuration(
            path: path,
            name: try layers.text("model-name", modelName)
                ?? model.split(separator: "/").last.map(String.init) ?? model,
            adapters: try layers.text("adapters", adapters),
            usesTurbo: !(try layers.flag("no-turbo", noTurbo)),
            threads: try layers.integer("threads", threads, in: 1...1024)
        )
        renderer.precision = try precision(layers)
        renderer.kernels = try kernels(layers)
        if let bytes = try layers.bytes("condition-memory", conditionMemory) {
            renderer.conditionBytes = Int(bytes)
        }
        let token = try access.bearerToken(layers)
        let bearer = BearerToken(token ?? "")
        let client = try access.client(layers, showing: bearer)
        return Settings(
            worker: try configuration(layers, data, renderer.threads),
            renderer: renderer,
            client: client,
            bearer: bearer,
            token: token,
            fetch: isDirectory ? nil : (model, path),
            group: try groupSettings(layers, client.coordinator),
            metricsListen: try layers.address(
                "metrics-listen",
                metricsListen,
                isOpen: try layers.flag("insecure-listen", insecureListen)
            ),
            traces: try traces(layers)
        )
    }

    private func traces(_ layers: LayeredSettings) throws -> TraceSettings? {
        let flags = [
            "otlp-endpoint": otlpEndpoint, "otlp-headers": otlpHeaders, "trace-sample": traceSample,
        ]
        return try TraceSettings { try layers.text($0, flags[$0] ?? nil) }
    }

    /// How it takes part in groups; nil for not at all.
    private func groupSettings(
        _ layers: LayeredSettings,
        _ coordinator: String
    ) throws -> GroupSettings? {
        guard let text = try layers.text("group", group) else { return nil }
        guard let offer = GroupOffer(text) else {
            throw SettingsError.wrong(
                source: "group",
                text: text,
                wanted: "auto, or a name and a size from 2 to 64, as pair/2"
            )
        }
        return try GroupSettings(
            offer: offer,
            listen: try layers.text("group-listen", groupListen),
            coordinator: coordinator
        )
    }

    private func precision(_ layers: LayeredSettings) throws -> Precision? {
        guard let text = try layers.text("precision", precision) else { return nil }
        guard let precision = Precision(rawValue: text) else {
            throw SettingsError.wrong(
                source: "precision",
                text: text,
                wanted: Precision.allCases.map(\.rawValue).joined(separator: ", ")
            )
        }
        return precision
    }

    private func kernels(_ layers: LayeredSettings) throws -> KernelLevel? {
        guard let text = try layers.text("kernels", kernels) else { return nil }
        guard let level = KernelLevel(rawValue: text), level <= .best else {
            throw SettingsError.wrong(
                source: "kernels",
                text: text,
                wanted: "what this processor has: "
                    + KernelLevel.available.map(\.rawValue).joined(separator: ", ")
            )
        }
        return level
    }

    private func configuration(
        _ layers: LayeredSettings,
        _ data: String,
        _ threads: Int?
    ) throws -> WorkerConfiguration {
        var worker = WorkerConfiguration(
            name: try layers.text("name", name) ?? ProcessInfo.processInfo.hostName,
            dataFolder: data
        )
        worker.pool = try layers.text("pool", pool) ?? "default"
        worker.tags = try layers.list("tag", tag)
        worker.memory =
            try layers.bytes("memory", memory) ?? PipelineRenderer.availableMemory ?? 0
        worker.machine = .current(threads: threads)
        worker.drain = try layers.choice("drain", drain) ?? worker.drain
        worker.grace = try layers.duration("drain-grace", drainGrace) ?? worker.grace
        if let interval = try layers.duration("checkpoint-interval", checkpointInterval) {
            worker.checkpoints = CheckpointSchedule(leastInterval: interval / .seconds(1))
        }
        worker.referenceBytes =
            try layers.bytes("reference-cache", referenceCache) ?? worker.referenceBytes
        worker.conditionBytes =
            try layers.bytes("condition-cache", conditionCache) ?? worker.conditionBytes
        worker.spoolBytes = try layers.bytes("spool", spool) ?? worker.spoolBytes
        return worker
    }
}

extension MachineInfo {
    /// This machine.
    fileprivate static func current(threads: Int?) -> MachineInfo {
        let information = ProcessInfo.processInfo
        let cpu = FileManager.default.contents(atPath: "/proc/cpuinfo") ?? Data()
        let name = String(decoding: cpu, as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix("model name") }?
            .split(separator: ":").last.map { $0.drop { $0 == " " } }
        return MachineInfo(
            host: information.hostName,
            system: information.operatingSystemVersionString,
            processor: name.map(String.init) ?? "unknown",
            threads: threads ?? information.activeProcessorCount
        )
    }
}
