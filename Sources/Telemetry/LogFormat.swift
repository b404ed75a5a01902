package import Logging

/// How the lines of the log are written, to standard error.
package enum LogFormat: String, CaseIterable, Sendable {
    /// A line for people.
    case text
    /// A JSON object a line.
    case json

    /// Makes every logger of the process that is made from now on write so; to be called once.
    package func bootstrap() {
        LoggingSystem.bootstrap(
            { label, provider in handler(label: label, provider) },
            metadataProvider: .trace
        )
    }

    /// A handler that writes so to standard error.
    ///
    /// - Parameters:
    ///   - label: The logger's label.
    ///   - provider: What gives metadata of the moment; nil for nothing.
    /// - Returns: The handler.
    package func handler(
        label: String,
        _ provider: Logger.MetadataProvider? = nil
    ) -> any LogHandler {
        switch self {
        case .text: StreamLogHandler.standardError(label: label, metadataProvider: provider)
        case .json: JSONLogHandler(label: label, metadataProvider: provider)
        }
    }
}
