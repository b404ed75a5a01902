import FarmClient
import FarmModel

/// The references and adapters of a job, whose files lie beside its specification.
struct JobFiles {
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
            do {
                digests[name] = try FileDigest.digest(of: path).digest
            } catch {
                problems.append(SpecificationProblem(path: place, message: "\(error)"))
                continue
            }
            paths[name] = path
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
