import FarmModel
import FoundationEssentials
import Glibc

/// The reference files that a worker has downloaded, each under its digest, bounded in bytes.
struct ReferenceCache: Sendable {
    let files: FileCache
    let calls: any CoordinatorCalls

    /// The paths of the files of `conditions`, downloading those that are not there.
    ///
    /// The files stay until ``FileCache/unpin(_:)`` is called with the names of
    /// ``names(of:)``, once for every call of ``FileCache/pin(_:)``.
    ///
    /// - Throws: ``RenderFailure`` when bytes do not have their digest or the disk refuses, and
    ///   what the download throws.
    func paths(of conditions: [ConditionSpecification]) async throws -> [String] {
        var paths: [String] = []
        for condition in conditions {
            guard let digest = condition.sha256 else {
                throw RenderFailure(
                    .deterministic,
                    "the reference '\(condition.image)' has no digest; submit the job again"
                )
            }
            paths.append(try await path(of: digest, named: condition.image))
        }
        return paths
    }

    /// The names of the files of `conditions`.
    static func names(of conditions: [ConditionSpecification]) -> [String] {
        conditions.compactMap { $0.sha256?.rawValue }
    }

    private func path(of digest: BlobDigest, named name: String) async throws -> String {
        if let path = await files.path(of: digest.rawValue) {
            if Self.isWhole(path, digest) { return path }
            await files.remove(digest.rawValue)
        }
        let aside = try await files.asidePath()
        defer { unlink(aside) }
        try await calls.downloadBlob(digest, to: aside)
        guard Self.isWhole(aside, digest) else {
            throw RenderFailure(
                .transient,
                "the reference '\(name)' came with other bytes than its digest says; "
                    + "if this stays, check the blob store"
            )
        }
        return try await files.adopt(aside, as: digest.rawValue)
    }

    private static func isWhole(_ path: String, _ digest: BlobDigest) -> Bool {
        FileManager.default.contents(atPath: path).map { BlobDigest(of: $0) } == digest
    }
}
