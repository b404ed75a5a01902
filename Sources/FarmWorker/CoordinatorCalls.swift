package import FarmModel
package import FoundationEssentials

/// The calls of the coordinator that a worker needs.
///
/// Every call throws ``FarmClientError`` where the coordinator refuses or does not answer.
package protocol CoordinatorCalls: Sendable {
    func register(_ request: RegistrationRequest) async throws -> RegistrationAnswer
    /// Tells the next key of a worker that has joined.
    func renew(_ worker: WorkerID, _ request: CredentialRequest) async throws -> CredentialTerms
    func heartbeat(_ worker: WorkerID, _ request: HeartbeatRequest) async throws -> HeartbeatAnswer
    func claim(_ worker: WorkerID, _ request: ClaimRequest) async throws -> ClaimAnswer

    /// Downloads a blob into the file at `path`; the caller checks its digest.
    func downloadBlob(_ digest: BlobDigest, to path: String) async throws

    /// A computed condition, or nil where the farm has none under this name.
    func artifact(_ key: ArtifactKey, _ fence: AttemptFence) async throws -> Data?
    func putArtifact(_ bytes: Data, as key: ArtifactKey, _ fence: AttemptFence) async throws

    func deliver(_ picture: Data, _ request: DeliveryRequest) async throws -> DeliveryAnswer
    func saveCheckpoint(
        _ checkpoint: Data,
        _ request: CheckpointRequest
    ) async throws -> CheckpointAnswer
    /// Ends an attempt as a draft; its checkpoint is saved before.
    func draft(_ picture: Data, _ request: DraftRequest) async throws -> AttemptAnswer
    /// Says that the worker ends.
    func leave(_ worker: WorkerID, epoch: Int64) async throws

    func complete(_ request: AttemptRequest) async throws -> AttemptAnswer
    func fail(_ request: FailureRequest) async throws -> AttemptAnswer
    func release(_ request: AttemptRequest) async throws -> AttemptAnswer
}
