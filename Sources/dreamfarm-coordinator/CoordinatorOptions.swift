import ArgumentParser
import FarmCoordinator
import FarmModel
import FoundationEssentials
import Glibc
import Logging
import Telemetry

/// The settings of the coordinator: flags over environment over file over defaults.
///
/// Each is named alike in all of them: `--data-dir`, `DREAMFARM_DATA_DIR`, `data-dir:`.
struct CoordinatorOptions: ParsableArguments {
    @Option(help: "A file of settings (environment: DREAMFARM_CONFIG).")
    var config: String?

    @Option(help: "The folder for everything the farm keeps (environment: DREAMFARM_DATA_DIR).")
    var dataDir: String?

    @Option(help: "Where to listen (environment: DREAMFARM_LISTEN).")
    var listen: String?

    @Option(help: "The certificates to serve with, PEM (environment: DREAMFARM_TLS_CERTIFICATE).")
    var tlsCertificate: String?

    @Option(help: "The certificate's private key, PEM (environment: DREAMFARM_TLS_KEY).")
    var tlsKey: String?

    @Option(
        help: """
            The authorities, PEM, one of which has to have signed a certificate that workers show \
            (environment: DREAMFARM_TLS_CLIENT_CA).
            """
    )
    var tlsClientCA: String?

    @Option(help: "The database; without it a private one (environment: DREAMFARM_DATABASE_URL).")
    var databaseURL: String?

    @Option(
        help: "Where blobs are: a folder or s3://bucket/prefix (environment: DREAMFARM_BLOB_STORE)."
    )
    var blobStore: String?

    @Option(
        help: "What of the blob store stays free, as 5% (environment: DREAMFARM_BLOB_RESERVE)."
    )
    var blobReserve: String?

    @Option(help: "How long a lease lasts without a heartbeat (environment: DREAMFARM_LEASE).")
    var lease: String?

    @Option(help: "How often workers are heard of (environment: DREAMFARM_HEARTBEAT).")
    var heartbeat: String?

    @Option(
        help: "How long pictures are kept after their job (environment: DREAMFARM_KEEP_OUTPUTS)."
    )
    var keepOutputs: String?

    @Option(help: "How long logs are kept (environment: DREAMFARM_KEEP_LOGS).")
    var keepLogs: String?

    @Option(help: "How long jobs that are over are kept (environment: DREAMFARM_KEEP_HISTORY).")
    var keepHistory: String?

    @Option(
        help:
            "How long drafts wait for a person, then dropped (environment: DREAMFARM_KEEP_DRAFTS)."
    )
    var keepDrafts: String?

    @Option(
        help: """
            Requests a second that a token may make, 0 for any number; those of workers and admins \
            are not counted (environment: DREAMFARM_REQUEST_RATE).
            """
    )
    var requestRate: String?

    @Option(
        help: """
            How long a worker's own key is good; it is renewed when a third of that is over \
            (environment: DREAMFARM_WORKER_CREDENTIAL).
            """
    )
    var workerCredential: String?

    @OptionGroup(title: "Identity provider") var identity: IdentityOptions

    @Option(
        help: """
            Whether tasks of a higher band of priority take the place of those that render: on or off \
            (environment: DREAMFARM_PREEMPTION).
            """
    )
    var preemption: String?

    @Option(
        help: """
            How long an attempt renders before it may be parked for one (environment: \
            DREAMFARM_PREEMPT_QUANTUM).
            """
    )
    var preemptQuantum: String?

    @Option(
        help: """
            How long what is queued may take, by which the size of a fleet is recommended (environment: \
            DREAMFARM_CAPACITY_TARGET).
            """
    )
    var capacityTarget: String?

    @Option(
        help: """
            The share of delivered pictures that another worker renders again to compare them, as 0.02 or \
            2% (environment: DREAMFARM_AUDIT_SHARE).
            """
    )
    var auditShare: String?

    @Option(help: "What webhooks are signed with (environment: DREAMFARM_WEBHOOK_SECRET).")
    var webhookSecret: String?

    @Flag(
        help: """
            Send webhooks to addresses that are not of the public internet, too (environment: \
            DREAMFARM_WEBHOOKS_PRIVATE).
            """
    )
    var webhooksPrivate = false

    @Flag(help: "Serve /metrics without a token (environment: DREAMFARM_METRICS_OPEN).")
    var metricsOpen = false

    @OptionGroup(title: "Logs and traces") var observation: ObservationOptions

    @Flag(help: "Listen without TLS where other machines can reach.")
    var insecureListen = false

    /// The names of all settings.
    private static let names =
        IdentityProvider.settingNames + ObservationOptions.names + [
            "data-dir", "listen", "database-url", "blob-store", "blob-reserve", "lease",
            "heartbeat",
            "keep-outputs", "keep-logs", "keep-history", "keep-drafts", "webhook-secret",
            "webhooks-private",
            "metrics-open", "insecure-listen", "tls-certificate", "tls-key", "tls-client-ca",
            "request-rate", "worker-credential", "preemption", "preempt-quantum",
            "capacity-target",
            "audit-share",
        ]

    /// The settings from wherever they come.
    private func source() throws -> SettingsSource {
        let environment = ProcessInfo.processInfo.environment
        let flags: [String: String?] = [
            "data-dir": dataDir, "listen": listen, "database-url": databaseURL,
            "tls-certificate": tlsCertificate, "tls-key": tlsKey, "tls-client-ca": tlsClientCA,
            "request-rate": requestRate, "worker-credential": workerCredential,
            "preemption": preemption, "preempt-quantum": preemptQuantum,
            "capacity-target": capacityTarget,
            "audit-share": auditShare,
            "blob-store": blobStore, "blob-reserve": blobReserve, "lease": lease,
            "heartbeat": heartbeat, "keep-outputs": keepOutputs, "keep-logs": keepLogs,
            "keep-history": keepHistory, "keep-drafts": keepDrafts,
            "webhook-secret": webhookSecret,
            "webhooks-private": webhooksPrivate ? "true" : nil,
            "metrics-open": metricsOpen ? "true" : nil,
            "insecure-listen": insecureListen ? "true" : nil,
        ]
        let path = config ?? environment[SettingsSource.variable("config")]
        return SettingsSource(
            flags: flags.merging(identity.flags) { own, _ in own }
                .merging(observation.flags) { own, _ in own }.compactMapValues(\.self),
            environment: environment,
            file: try path.map { try SettingsFile.read($0, known: Self.names) } ?? [:]
        )
    }

    /// The coordinator that the settings describe; to be called once, since it says how the process logs
    /// and traces.
    func coordinator() throws -> Coordinator {
        let source = try source()
        let configuration = try configuration(source)
        let traces = try ObservationOptions.traces(source)
        try ObservationOptions.logFormat(source).bootstrap()
        let logger = Logger(label: "dreamfarm.coordinator")
        let exporter = traces.map { traces in
            OTLPExporter(
                traces,
                of: .program("dreamfarm-coordinator", version: FarmSettings.version),
                logger: logger
            )
        }
        exporter?.tracer.bootstrap()
        return Coordinator(configuration, exporter: exporter, logger: logger)
    }

    private func configuration(_ source: SettingsSource) throws -> CoordinatorConfiguration {
        let address = source.value("listen") ?? FarmSettings.listenAddress
        guard let listen = ListenAddress(address) else {
            throw ValidationError("--listen must be like 127.0.0.1:8470, not '\(address)'")
        }
        var configuration = CoordinatorConfiguration(
            dataDirectory: FarmSettings.dataDirectory(
                source.value("data-dir"),
                environment: source.environment,
                isRoot: geteuid() == 0
            ),
            listen: listen,
            databaseURL: source.value("database-url"),
            timing: LeaseTiming(
                lease: try duration(source, "lease") ?? .seconds(60),
                heartbeat: try duration(source, "heartbeat") ?? .seconds(15)
            ),
            allowsInsecureListen: try flag(source, "insecure-listen")
        )
        configuration.tls = try tlsFiles(source)
        configuration.blobStore = source.value("blob-store")
        configuration.blobReserve = try part(source, "blob-reserve") ?? 0.05
        configuration.webhookSecret = source.value("webhook-secret")
        configuration.allowsPrivateWebhooks = try flag(source, "webhooks-private")
        configuration.areMetricsOpen = try flag(source, "metrics-open")
        configuration.preempts = try isOn(source, "preemption") ?? true
        if let quantum = try duration(source, "preempt-quantum") {
            configuration.preemptQuantum = quantum
        }
        if let target = try duration(source, "capacity-target") {
            configuration.capacityTarget = target
        }
        configuration.auditShare = try share(source, "audit-share") ?? 0
        configuration.environment = source.environment
        configuration.identity = try IdentityProvider(source)
        if let text = source.value("request-rate") {
            guard let rate = Double(text), rate == 0 || (0.01...1_000_000).contains(rate) else {
                throw ValidationError("--request-rate must be a number such as 200, not '\(text)'")
            }
            configuration.requestRate = rate > 0 ? rate : nil
        }
        if let lifetime = try duration(source, "worker-credential") {
            guard lifetime >= .seconds(60) else {
                throw ValidationError("--worker-credential must be at least 1m, as 24h")
            }
            configuration.workerCredential = lifetime
        }
        configuration.keepOutputs = try duration(source, "keep-outputs")
        if let logs = try duration(source, "keep-logs") { configuration.keepLogs = logs }
        if let history = try duration(source, "keep-history") {
            configuration.keepHistory = history
        }
        if let drafts = try duration(source, "keep-drafts") { configuration.keepDrafts = drafts }
        return configuration
    }

    /// The settings that take effect, one a line with where each comes from, secrets hidden.
    func effective() throws -> String {
        let source = try source()
        let configuration = try configuration(source)
        let timing = configuration.timing
        let values: [(String, String)] = [
            ("data-dir", configuration.dataDirectory),
            ("listen", configuration.listen.description),
            ("tls-certificate", configuration.tls?.certificate ?? "none: served without TLS"),
            ("tls-key", configuration.tls?.key ?? "none"),
            ("tls-client-ca", configuration.tls?.clientAuthorities ?? "none"),
            ("database-url", configuration.databaseURL.map(DatabaseAddress.hidden) ?? "embedded"),
            ("blob-store", configuration.blobStore ?? configuration.dataDirectory + "/blobs"),
            ("blob-reserve", "\(configuration.blobReserve * 100)%"),
            ("lease", "\(timing.lease)"), ("heartbeat", "\(timing.heartbeat)"),
            ("keep-outputs", configuration.keepOutputs.map { "\($0)" } ?? "for ever"),
            ("keep-logs", configuration.keepLogs.map { "\($0)" } ?? "for ever"),
            ("keep-history", configuration.keepHistory.map { "\($0)" } ?? "for ever"),
            ("keep-drafts", configuration.keepDrafts.map { "\($0)" } ?? "for ever"),
            ("request-rate", configuration.requestRate.map { "\($0)" } ?? "any"),
            ("worker-credential", "\(configuration.workerCredential)"),
            ("preemption", configuration.preempts ? "on" : "off"),
            ("preempt-quantum", "\(configuration.preemptQuantum)"),
            ("capacity-target", "\(configuration.capacityTarget)"),
            ("audit-share", "\(configuration.auditShare * 100)%"),
            ("webhook-secret", configuration.webhookSecret == nil ? "in data-dir" : "(hidden)"),
            ("webhooks-private", "\(configuration.allowsPrivateWebhooks)"),
            ("metrics-open", "\(configuration.areMetricsOpen)"),
            ("insecure-listen", "\(configuration.allowsInsecureListen)"),
        ]
        let all =
            try values + ObservationOptions.effective(source)
            + (configuration.identity?.effective ?? [("oidc-issuer", "none")])
        return all.map { "\($0.0): \($0.1)  # \(source.origin($0.0))" }
            .joined(separator: "\n")
    }

    // MARK: - Values

    private func tlsFiles(_ source: SettingsSource) throws -> TLSFiles? {
        let authorities = source.value("tls-client-ca")
        switch (source.value("tls-certificate"), source.value("tls-key")) {
        case (let certificate?, let key?):
            return TLSFiles(certificate: certificate, key: key, clientAuthorities: authorities)
        case (nil, nil) where authorities == nil: return nil
        case (nil, _): throw ValidationError("--tls-certificate is needed too")
        case (_, nil): throw ValidationError("--tls-key is needed too")
        }
    }

    private func duration(_ source: SettingsSource, _ name: String) throws -> Duration? {
        guard let text = source.value(name) else { return nil }
        guard let duration = FarmSettings.duration(text), duration >= .milliseconds(100) else {
            throw ValidationError("--\(name) must be like 8s, 2m or 1h, not '\(text)'")
        }
        return duration
    }

    private func part(_ source: SettingsSource, _ name: String) throws -> Double? {
        guard let text = source.value(name) else { return nil }
        let number = text.hasSuffix("%") ? text.dropLast() : text[...]
        guard let value = Double(number), (0..<100).contains(value) else {
            throw ValidationError("--\(name) must be like 5% or 0, not '\(text)'")
        }
        return value / 100
    }

    private func share(_ source: SettingsSource, _ name: String) throws -> Double? {
        guard let text = source.value(name) else { return nil }
        let isPercent = text.hasSuffix("%")
        let number = Double(isPercent ? text.dropLast() : text[...])
        guard let value = number.map({ isPercent ? $0 / 100 : $0 }), (0...1).contains(value) else {
            throw ValidationError("--\(name) must be like 0.02 or 2%, not '\(text)'")
        }
        return value
    }

    private func isOn(_ source: SettingsSource, _ name: String) throws -> Bool? {
        switch source.value(name) {
        case nil: return nil
        case "on", "true", "1": return true
        case "off", "false", "0": return false
        case let text?: throw ValidationError("--\(name) must be on or off, not '\(text)'")
        }
    }

    private func flag(_ source: SettingsSource, _ name: String) throws -> Bool {
        switch source.value(name) {
        case nil, "false", "0": return false
        case "true", "1": return true
        case let text?:
            throw ValidationError("--\(name) must be true or false, not '\(text)'")
        }
    }
}
