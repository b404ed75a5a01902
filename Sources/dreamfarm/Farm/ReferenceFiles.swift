import FarmClient
import FarmModel
import FoundationEssentials

/// The reference files of a job, which lie beside its specification.
struct ReferenceFiles {
    /// The path of each file that the job names without a digest, by that name.
    private(set) var paths: [String: String] = [:]
    /// The digest of each of these files.
    private(set) var digests: [String: BlobDigest] = [:]
    /// Those that cannot be read.
    private(set) var problems: [SpecificationProblem] = []

    /// Finds and hashes the files.
    ///
    /// - Parameters:
    ///   - specification: The job.
    ///   - folder: The folder of the specification.
    init(of specification: JobSpecification, beside folder: String) {
        for (place, name) in specification.filePlaces {
            let path = name.hasPrefix("/") || folder.isEmpty ? name : folder + "/" + name
            guard let data = FileManager.default.contents(atPath: path) else {
                let error = ReferenceFileError(path: path)
                problems.append(SpecificationProblem(path: place, message: "\(error)"))
                continue
            }
            paths[name] = path
            digests[name] = BlobDigest(of: data)
        }
    }

    /// Uploads the files that the farm does not have, and returns how many those were.
    func upload(to client: CoordinatorClient) async throws -> Int {
        var files: [BlobDigest: String] = [:]
        for (name, digest) in digests { files[digest] = paths[name] }
        guard !files.isEmpty else { return 0 }
        let missing = try await client.missingBlobs(Array(files.keys))
        for digest in missing {
            if let path = files[digest] { try await client.uploadBlob(digest, file: path) }
        }
        return missing.count
    }
}

/// A reference file that cannot be read.
struct ReferenceFileError: Error, CustomStringConvertible {
    var path: String

    var description: String {
        "\(path): the reference cannot be read; its name is relative to the specification"
    }
}
