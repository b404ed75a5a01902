package import FarmModel
package import FoundationEssentials
import HTTPTransport

extension CoordinatorClient {
    /// Makes a worker known, or known again, under its name.
    package func register(_ request: RegistrationRequest) async throws -> RegistrationAnswer {
        try await call("POST", "/v1/workers", request, isIdempotent: true)
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
            timeout: .seconds(request.waitSeconds + 30)
        )
    }

    /// Delivers the bytes of one image.
    package func deliver(
        _ picture: Data,
        image index: Int,
        _ fence: AttemptFence
    ) async throws -> DeliveryAnswer {
        let path =
            "/v1/attempts/\(fence.attempt)/images/\(index)?task=\(fence.task)&epoch=\(fence.epoch)"
        let response = try await send(
            "PUT",
            path,
            body: .bytes(picture),
            contentType: "image/png",
            timeout: nil
        )
        guard let answer = try? FarmJSON.decode(DeliveryAnswer.self, from: response.body) else {
            throw FarmClientError.unreadable(url: coordinator + path, status: response.status)
        }
        return answer
    }

    /// Ends an attempt that delivered everything.
    @discardableResult
    package func complete(_ fence: AttemptFence) async throws -> AttemptAnswer {
        try await call(
            "POST",
            "/v1/attempts/\(fence.attempt)/complete",
            AttemptRequest(fence: fence),
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
    package func release(_ fence: AttemptFence) async throws -> AttemptAnswer {
        try await call(
            "POST",
            "/v1/attempts/\(fence.attempt)/release",
            AttemptRequest(fence: fence),
            isIdempotent: true
        )
    }
}
