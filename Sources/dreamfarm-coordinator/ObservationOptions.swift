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

    /// The names of its settings.
    static let names = ["log-format"]

    /// What the command line says, by the setting's name.
    var flags: [String: String?] { ["log-format": logFormat] }

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
