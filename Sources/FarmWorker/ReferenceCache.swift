import FarmModel
import FoundationEssentials
import Glibc

/// The reference files that a worker has downloaded, each under its digest.
struct ReferenceCache: Sendable {
    let folder: String
    let calls: any CoordinatorCalls

    /// The paths of the files of `conditions`, downloading those that are not there.
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

    private func path(of digest: BlobDigest, named name: String) async throws -> String {
        let path = folder + "/" + digest.rawValue
        if FileManager.default.fileExists(atPath: path) { return path }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let aside = path + "." + UUID().uuidString
        defer { unlink(aside) }
        try await calls.downloadBlob(digest, to: aside)
        guard let data = FileManager.default.contents(atPath: aside),
            BlobDigest(of: data) == digest
        else {
            throw RenderFailure(.transient, "the reference '\(name)' came with other bytes")
        }
        guard rename(aside, path) == 0 else {
            throw RenderFailure(.workersFault, "\(path): cannot be written; check --data-dir")
        }
        return path
    }
}
