package import Logging

/// How the lines of the log are written, to standard error.
package enum LogFormat: String, CaseIterable, Sendable {
    /// A line for people.
    case text
    /// A JSON object a line.
    case json

    /// Makes every logger of the process that is made from now on write so; to be called once.
    package func bootstrap() {
        LoggingSystem.bootstrap(handler(label:))
    }

    /// A handler that writes so to standard error.
    package func handler(label: String) -> any LogHandler {
        switch self {
        case .text: StreamLogHandler.standardError(label: label)
        case .json: JSONLogHandler(label: label)
        }
    }
}
