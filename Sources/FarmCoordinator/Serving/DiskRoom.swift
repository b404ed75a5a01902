import FoundationEssentials

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
