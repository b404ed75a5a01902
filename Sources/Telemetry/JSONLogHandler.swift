package import Logging

/// Writes each line of the log as one JSON object.
///
/// Its keys are `timestamp` (RFC 3339, UTC), `level`, `label`, `message`, and those of the metadata beside
/// them, so that a reader finds a job by its `job`. A key of the metadata that is one of these four has
/// `_` behind it.
package struct JSONLogHandler: LogHandler {
    /// The keys that every line has.
    private static let ownKeys: Set<String> = ["timestamp", "level", "label", "message"]

    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel = Logger.Level.info

    private let label: String
    private let now: @Sendable () -> Timestamp
    private let write: @Sendable (String) -> Void

    /// A handler of the logger of a label.
    ///
    /// - Parameters:
    ///   - label: The logger's label.
    ///   - provider: What gives metadata of the moment; nil for nothing.
    ///   - now: The time of a line.
    ///   - write: Takes a line with its end.
    package init(
        label: String,
        metadataProvider provider: Logger.MetadataProvider? = nil,
        now: @escaping @Sendable () -> Timestamp = Timestamp.now,
        write: @escaping @Sendable (String) -> Void = StandardError.write
    ) {
        self.label = label
        metadataProvider = provider
        self.now = now
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error, all["error"] == nil { all["error"] = "\(error)" }
        var line = JSONText()
        line.object { line in
            line.member("timestamp", now().text)
            line.member("level", event.level.rawValue)
            line.member("label", label)
            line.member("message", event.message.description)
            for (key, value) in all.sorted(by: { $0.key < $1.key }) {
                line.member(Self.ownKeys.contains(key) ? key + "_" : key, value)
            }
        }
        write(line.text + "\n")
    }
}

extension JSONText {
    fileprivate mutating func member(_ key: String, _ value: Logger.Metadata.Value) {
        self.key(key)
        append(value)
    }

    private mutating func append(_ value: Logger.Metadata.Value) {
        switch value {
        case .string(let text): string(text)
        case .stringConvertible(let value): string(value.description)
        case .array(let values): array(values) { $0.append($1) }
        case .dictionary(let values):
            object { text in
                for (key, value) in values.sorted(by: { $0.key < $1.key }) {
                    text.member(key, value)
                }
            }
        }
    }
}
