package import FarmModel
package import FoundationEssentials
import HTTPTransport

extension CoordinatorClient {
    /// Makes a worker known, or known again, under its name.
    package func register(_ request: RegistrationRequest) async throws -> RegistrationAnswer {
        try await call("POST", "/v1/workers", request, isIdempotent: true)
    }

    /// Tells the next key of a worker that has joined.
    package func renew(
        _ worker: WorkerID,
        _ request: CredentialRequest
    ) async throws -> CredentialTerms {
        try await call(
            "POST",
            "/v1/workers/\(worker)/credential",
            request,
            timeout: .seconds(15),
            isIdempotent: true
        )
    }

    /// Says that the worker lives and how far it is.
    package func heartbeat(
        _ worker: WorkerID,
        _ request: HeartbeatRequest
    ) async throws -> HeartbeatAnswer {
        try await call(
            "POST",
            "/v1/workers/\(worker)/heartbeat",
            request,
            timeout: .seconds(15),
            isIdempotent: true
        )
    }

    /// Asks for a task; the coordinator holds the answer back for up to the time asked for.
    package func claim(_ worker: WorkerID, _ request: ClaimRequest) async throws -> ClaimAnswer {
        try await call(
            "POST",
            "/v1/workers/\(worker)/claim",
            request,
            timeout: .clamped(seconds: request.waitSeconds) + .seconds(30)
        )
    }

    /// Says that a worker ends; what it still holds is given back.
    package func leave(_ worker: WorkerID, epoch: Int64) async throws {
        try await send(
            "POST",
            "/v1/workers/\(worker)/leave?epoch=\(epoch)",
            contentType: "application/json",
            timeout: .seconds(15),
            isIdempotent: true
        )
    }

    // MARK: - Bytes

    /// Delivers the bytes of one image.
    package func deliver(
        _ picture: Data,
        _ request: DeliveryRequest
    ) async throws
        -> DeliveryAnswer
    {
        try await put(picture, request.path, contentType: "image/png")
    }

    /// Stores a checkpoint of an image that is not finished.
    package func saveCheckpoint(
        _ checkpoint: Data,
        _ request: CheckpointRequest
    ) async throws -> CheckpointAnswer {
        try await put(checkpoint, request.path, contentType: "application/octet-stream")
    }

    /// Ends an attempt as a draft; its checkpoint is saved before.
    @discardableResult
    package func draft(_ picture: Data, _ request: DraftRequest) async throws -> AttemptAnswer {
        try await put(picture, request.path, contentType: request.type.mediaType)
    }

    /// A computed condition, or nil where the farm has none under this name.
    package func artifact(_ key: ArtifactKey, _ fence: AttemptFence) async throws -> Data? {
        do {
            let response = try await send(
                "GET",
                key.path(for: fence),
                contentType: "application/octet-stream",
                destination: .memory(limit: 256 << 20)
            )
            return response.body
        } catch let error as FarmClientError where error.kind == .notFound {
            return nil
        }
    }

    /// Stores a computed condition for other workers.
    package func putArtifact(
        _ bytes: Data,
        as key: ArtifactKey,
        _ fence: AttemptFence
    ) async throws {
        try await send(
            "PUT",
            key.path(for: fence),
            body: .bytes(bytes),
            contentType: "application/octet-stream",
            timeout: nil
        )
    }

    /// Downloads a blob into the file at `path`, going on where an earlier download ended; the
    /// caller checks its digest.
    package func resumeBlob(_ digest: BlobDigest, to path: String) async throws {
        try await send(
            "GET",
            "/v1/blobs/\(digest)",
            contentType: "application/json",
            destination: .resumedFile(path),
            timeout: nil
        )
    }

    private func put<Answer: Decodable>(
        _ bytes: Data,
        _ path: String,
        contentType: String
    ) async throws -> Answer {
        let response = try await send(
            "PUT",
            path,
            body: .bytes(bytes),
            contentType: contentType,
            timeout: nil
        )
        guard let answer = try? FarmJSON.decode(Answer.self, from: response.body) else {
            throw FarmClientError.unreadable(url: coordinator + path, status: response.status)
        }
        return answer
    }

    // MARK: - Ends

    /// Ends an attempt that delivered everything.
    @discardableResult
    package func complete(_ request: AttemptRequest) async throws -> AttemptAnswer {
        try await call(
            "POST",
            "/v1/attempts/\(request.fence.attempt)/complete",
            request,
            isIdempotent: true
        )
    }

    /// Ends an attempt that failed.
    @discardableResult
    package func fail(_ request: FailureRequest) async throws -> AttemptAnswer {
        try await call(
            "POST",
            "/v1/attempts/\(request.fence.attempt)/fail",
            request,
            isIdempotent: true
        )
    }

    /// Gives a task back unharmed.
    @discardableResult
    package func release(_ request: AttemptRequest) async throws -> AttemptAnswer {
        try await call(
            "POST",
            "/v1/attempts/\(request.fence.attempt)/release",
            request,
            isIdempotent: true
        )
    }
}
