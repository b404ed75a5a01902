import FarmModel
import FoundationEssentials
import Glibc

/// The references and adapters that a worker has downloaded, each under its digest, bounded in bytes.
struct ReferenceCache: Sendable {
    let files: FileCache
    let calls: any CoordinatorCalls

    /// The paths of the files of `references`, downloading those that are not there.
    ///
    /// The files stay while ``names(of:)`` are pinned.
    ///
    /// - Throws: ``RenderFailure`` when bytes do not have their digest or the disk refuses, and
    ///   what the download throws.
    func paths(of references: [ConditionSpecification]) async throws -> [String] {
        try await paths(of: references.map { ($0.image, $0.sha256) })
    }

    /// The paths of the files of `loras`, downloading those that are not there.
    ///
    /// - Throws: As for references.
    func paths(of loras: [LoraSpecification]) async throws -> [String] {
        try await paths(of: loras.map { ($0.file, $0.sha256) })
    }

    /// The names of the files that an image needs.
    static func names(of settings: RenderSettings) -> [String] {
        settings.references.compactMap(\.sha256?.rawValue)
            + settings.loras.compactMap(\.sha256?.rawValue)
    }

    private func paths(of files: [(name: String, digest: BlobDigest?)]) async throws -> [String] {
        var paths: [String] = []
        for file in files {
            guard let digest = file.digest else {
                throw RenderFailure(
                    .deterministic,
                    "the file '\(file.name)' has no digest; submit the job again"
                )
            }
            paths.append(try await path(of: digest, named: file.name))
        }
        return paths
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
                "the file '\(name)' came with other bytes than its digest says; "
                    + "if this stays, check the blob store"
            )
        }
        return try await files.adopt(aside, as: digest.rawValue)
    }

    private static func isWhole(_ path: String, _ digest: BlobDigest) -> Bool {
        FileManager.default.contents(atPath: path).map { BlobDigest(of: $0) } == digest
    }
}
