import FoundationEssentials

/// What tells one state of a file from another.
struct FileStamp: Hashable, Sendable {
    /// Its number, size and time of change; of no file, nothing.
    private let attributes: [String]

    /// The stamp of the file that a path leads to now.
    init(path: String) {
        // The attributes are of a link itself.
        let target =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) != nil
            ? URL(filePath: path).resolvingSymlinksInPath().path : path
        let found = (try? FileManager.default.attributesOfItem(atPath: target)) ?? [:]
        attributes = [FileAttributeKey.systemFileNumber, .size, .modificationDate].map { key in
            let value = found[key]
            if let date = value as? Date { return "\(date.timeIntervalSinceReferenceDate)" }
            return value.map { "\($0)" } ?? ""
        }
    }
}

/// The room on a disk.
enum DiskRoom {
    /// Which part of the disk of a path is free, 0…1; nil where it does not tell.
    static func freeFraction(of path: String) -> Double? {
        let found = try? FileManager.default.attributesOfFileSystem(forPath: path)
        guard let size = number(found?[.systemSize]), let free = number(found?[.systemFreeSize]),
            size > 0
        else { return nil }
        return free / size
    }

    private static func number(_ value: Any?) -> Double? {
        (value as? any BinaryInteger).map { Double($0) }
    }
}
