import Logging
import Synchronization

/// Keeps what is logged, for a test to look at.
final class LogRecorder: Sendable {
    struct Line: Sendable {
        let level: Logger.Level
        let message: String
        let metadata: Logger.Metadata
    }

    private let kept = Mutex<[Line]>([])

    /// What was logged so far.
    var lines: [Line] { kept.withLock { $0 } }

    /// The lines of a level and of those above it.
    func lines(from level: Logger.Level) -> [Line] { lines.filter { $0.level >= level } }

    /// How often a message was logged.
    func count(of message: String) -> Int { lines.count { $0.message == message } }

    /// A logger whose lines are kept here, down to those of debugging.
    func logger() -> Logger {
        Logger(label: "test") { _ in Handler(recorder: self) }
    }

    fileprivate func keep(_ line: Line) {
        kept.withLock { $0.append(line) }
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            recorder.keep(
                Line(
                    level: event.level,
                    message: event.message.description,
                    metadata: metadata.merging(event.metadata ?? [:]) { $1 }
                )
            )
        }
    }
}
