import Logging
import Synchronization

/// Keeps what is logged, for a test to look at.
final class LogRecorder: Sendable {
    struct Line: Sendable {
        let level: Logger.Level
        let message: String
        let metadata: Logger.Metadata
    }

    private struct State {
        var lines: [Line] = []
        var readers: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    /// What was logged so far.
    var lines: [Line] { state.withLock { $0.lines } }

    /// Waits until what was logged fulfils a condition, or the task is cancelled.
    func wait(until condition: ([Line]) -> Bool) async throws {
        let (changes, reader) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        state.withLock { $0.readers.append(reader) }
        defer { reader.finish() }
        if condition(lines) { return }
        for await _ in changes where condition(lines) { return }
        throw CancellationError()
    }

    /// The lines of a level and of those above it.
    func lines(from level: Logger.Level) -> [Line] { lines.filter { $0.level >= level } }

    /// How often a message was logged.
    func count(of message: String) -> Int { lines.count { $0.message == message } }

    /// The metadata of the lines of a message, as texts.
    func fields(of message: String) -> [[String: String]] {
        lines.filter { $0.message == message }.map { $0.metadata.mapValues(\.description) }
    }

    /// A logger whose lines are kept here, down to those of debugging.
    func logger() -> Logger {
        Logger(label: "test") { _ in Handler(recorder: self) }
    }

    fileprivate func keep(_ line: Line) {
        let readers = state.withLock { state in
            state.lines.append(line)
            return state.readers
        }
        for reader in readers { reader.yield() }
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
