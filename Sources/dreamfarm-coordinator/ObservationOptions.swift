import ArgumentParser
import FarmCoordinator
import Telemetry

/// The settings of what a coordinator tells of itself besides its metrics.
struct ObservationOptions: ParsableArguments {
    @Option(
        help: """
            How lines of the log are written, text or json: an object a line (environment: \
            DREAMFARM_LOG_FORMAT).
            """
    )
    var logFormat: String?

    @Option(
        help: """
            The collector that takes traces over OTLP, as http://collector:4318; none when left out \
            (environment: DREAMFARM_OTLP_ENDPOINT).
            """
    )
    var otlpEndpoint: String?

    @Option(
        help:
            "What is sent with them, as authorization=Bearer%20… (environment: DREAMFARM_OTLP_HEADERS)."
    )
    var otlpHeaders: String?

    @Option(
        help: """
            The share of traces that begin here and are kept, as 0.1 or 10%; all when left out \
            (environment: DREAMFARM_TRACE_SAMPLE).
            """
    )
    var traceSample: String?

    /// The names of its settings.
    static let names = ["log-format"] + TraceSettings.names

    /// What the command line says, by the setting's name.
    var flags: [String: String?] {
        [
            "log-format": logFormat, "otlp-endpoint": otlpEndpoint, "otlp-headers": otlpHeaders,
            "trace-sample": traceSample,
        ]
    }

    /// Where spans go; nil for nowhere.
    ///
    /// - Throws: `ValidationError` for a setting that is none.
    static func traces(_ source: SettingsSource) throws -> TraceSettings? {
        do {
            return try TraceSettings { source.value($0) }
        } catch let error as TraceSettingsError {
            throw ValidationError("\(error)")
        }
    }

    /// Its settings as they take effect, secrets hidden.
    static func effective(_ source: SettingsSource) throws -> [(String, String)] {
        let traces = try traces(source)
        return [
            ("log-format", try logFormat(source).rawValue),
            ("otlp-endpoint", traces?.shownEndpoint ?? "none: no traces"),
            ("otlp-headers", traces?.headers.isEmpty ?? true ? "none" : "(hidden)"),
            ("trace-sample", "\((traces?.share ?? 1) * 100)%"),
        ]
    }

    /// How lines of the log are written.
    ///
    /// - Throws: `ValidationError` where the setting is none of the formats.
    static func logFormat(_ source: SettingsSource) throws -> LogFormat {
        guard let text = source.value("log-format") else { return .text }
        guard let format = LogFormat(rawValue: text) else {
            throw ValidationError("--log-format must be text or json, not '\(text)'")
        }
        return format
    }
}
