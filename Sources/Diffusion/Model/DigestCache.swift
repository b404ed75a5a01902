import Crypto
import FoundationEssentials
import Glibc
import Imaging

/// Remembers digests of models, so that a large model is hashed once and not at every start.
///
/// An entry stands for a set of files as they were: path, device, inode, size and time of change.
/// The cache is a convenience: whatever goes wrong with it, the digest is computed anew.
package struct DigestCache: Sendable {
    private let folder: String

    package init(folder: String) {
        self.folder = folder
    }

    /// The user's cache: below `XDG_CACHE_HOME`, else `~/.cache`; nil without a home.
    package static var standard: DigestCache? {
        let environment = ProcessInfo.processInfo.environment
        let root =
            environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
            ?? environment["HOME"].map { "\($0)/.cache" }
        return root.map { DigestCache(folder: "\($0)/dreamfarm/digests") }
    }

    /// The digest of some files under some settings, remembered or computed.
    ///
    /// - Parameters:
    ///   - files: The paths of all files that are hashed.
    ///   - settings: What else the digest depends on.
    ///   - compute: Computes the digest.
    /// - Returns: The digest.
    /// - Throws: What `compute` throws.
    func digest(
        of files: [String],
        settings: [String],
        _ compute: () async throws -> ModelDigest
    ) async throws -> ModelDigest {
        guard let path = entry(files, settings) else { return try await compute() }
        if let held = FileManager.default.contents(atPath: path),
            let digest = ModelDigest(record: String(decoding: held, as: UTF8.self))
        {
            return digest
        }
        let digest = try await compute()
        try? FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true
        )
        try? AtomicFile.write(path, Array(digest.record.utf8))
        return digest
    }

    /// The entry's path, or nil when a file cannot be looked at.
    private func entry(_ files: [String], _ settings: [String]) -> String? {
        var lines = settings
        for file in files.sorted() {
            var status = stat()
            guard stat(file, &status) == 0 else { return nil }
            let changed = "\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
            lines.append(
                "\(file) \(status.st_dev) \(status.st_ino) \(status.st_size) \(changed)"
            )
        }
        let key = SHA256.hash(data: Data(lines.joined(separator: "\n").utf8))
        return "\(folder)/\(hexadecimal(key))"
    }
}
