import FoundationEssentials

/// What tells one state of a file from another.
struct FileStamp: Hashable, Sendable {
    /// Its device, number, size and time of change; of no file, nothing.
    private let attributes: [String]

    /// The stamp of the file that a path leads to now, through links.
    init(path: String) {
        // The attributes are of a link itself.
        let target = URL(filePath: path).resolvingSymlinksInPath().path
        let found = (try? FileManager.default.attributesOfItem(atPath: target)) ?? [:]
        let keys: [FileAttributeKey] = [
            .systemNumber, .systemFileNumber, .size, .modificationDate,
        ]
        attributes = keys.map { key in
            let value = found[key]
            if let date = value as? Date { return "\(date.timeIntervalSinceReferenceDate)" }
            return value.map { "\($0)" } ?? ""
        }
    }
}
