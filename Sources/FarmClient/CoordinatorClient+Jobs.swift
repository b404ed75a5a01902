package import FarmModel
import FoundationEssentials
import HTTPTransport

extension CoordinatorClient {
    // MARK: - Blobs

    /// Those of `digests` that the farm does not have.
    package func missingBlobs(_ digests: [BlobDigest]) async throws -> [BlobDigest] {
        let answer: BlobList = try await call(
            "POST",
            "/v1/blobs/missing",
            BlobList(digests: digests),
            isIdempotent: true
        )
        return answer.digests
    }

    /// Uploads the file at `path`, whose bytes have the digest `digest`.
    package func uploadBlob(_ digest: BlobDigest, file path: String) async throws {
        try await send(
            "PUT",
            "/v1/blobs/\(digest)",
            body: .file(path),
            contentType: "application/octet-stream",
            timeout: nil
        )
    }

    /// Downloads a blob into the file at `path`; the caller checks its digest.
    package func downloadBlob(_ digest: BlobDigest, to path: String) async throws {
        try await send(
            "GET",
            "/v1/blobs/\(digest)",
            contentType: "application/json",
            destination: .file(path),
            timeout: nil
        )
    }

    // MARK: - Jobs

    /// Submits a job; with a key, submitting the same job again gives the same job.
    package func submit(_ specification: JobSpecification, key: JobKey?) async throws -> JobView {
        try await call(
            key == nil ? "POST" : "PUT",
            key.map { "/v1/jobs/\($0)" } ?? "/v1/jobs",
            specification.document
        )
    }

    /// The job with this id or key.
    package func job(_ idOrKey: String) async throws -> JobView {
        try await call("GET", "/v1/jobs/\(idOrKey)")
    }

    /// One page of the jobs, newest first.
    package func jobs(after: String? = nil) async throws -> Page<JobView> {
        try await call("GET", "/v1/jobs" + (after.map { "?after=\($0)" } ?? ""))
    }

    /// One page of a job's images, by index.
    package func images(of job: JobID, after: String? = nil) async throws -> Page<ImageView> {
        try await call("GET", "/v1/jobs/\(job)/images" + (after.map { "?after=\($0)" } ?? ""))
    }

    /// A job's tasks.
    package func tasks(of job: JobID) async throws -> Page<TaskView> {
        try await call("GET", "/v1/jobs/\(job)/tasks")
    }

    /// Stops a job and returns it as it then stands.
    package func cancel(_ job: JobID) async throws -> JobView {
        try await call("POST", "/v1/jobs/\(job)/cancel", isIdempotent: true)
    }

    /// Downloads a delivered picture into the file at `path`.
    package func downloadImage(_ image: ImageID, to path: String) async throws {
        try await send(
            "GET",
            "/v1/images/\(image)/content",
            contentType: "application/json",
            destination: .file(path),
            timeout: nil
        )
    }

    /// The models that the farm knows.
    package func models() async throws -> Page<ModelView> {
        try await call("GET", "/v1/models")
    }
}
