package import FarmModel
import HTTPTransport

extension CoordinatorClient {
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

    /// Removes the blobs that nothing names, or only says which those are.
    package func sweepBlobs(isDryRun: Bool) async throws -> BlobSweepView {
        try await call(
            "POST",
            "/v1/blobs/sweep" + (isDryRun ? "?dry_run=true" : ""),
            timeout: .seconds(3600)
        )
    }
}
