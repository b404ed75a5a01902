import FarmModel
import FoundationEssentials
package import Logging

/// A worker whose renderer takes modelled time: the real loops and calls, thousands to a process.
package struct SimulatedWorker: Sendable {
    /// How a simulated worker ended.
    package enum Ending: Sendable {
        /// It was drained.
        case drained
        /// It is gone without a word; what it held is left to its leases.
        case crashed
    }

    private let service: WorkerService
    private let line: SimulatedLine

    /// - Parameters:
    ///   - calls: The coordinator.
    ///   - renderer: How its renderer behaves.
    ///   - configuration: The worker's settings.
    ///   - clock: The time in which it works.
    ///   - logger: Its log.
    package init(
        calls: any CoordinatorCalls,
        renderer: SimulatedRenderer.Configuration,
        configuration: WorkerConfiguration,
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger
    ) {
        let line = SimulatedLine()
        self.line = line
        service = WorkerService(
            calls: SimulatedCalls(calls: calls, line: line),
            renderer: SimulatedRenderer(renderer, line: line, clock: clock),
            configuration: configuration,
            clock: clock,
            logger: logger
        )
    }

    /// What the worker did so far.
    package var counts: WorkerCounts { service.counts }

    /// Works until it is drained or crashes.
    ///
    /// - Throws: What ``WorkerService/run()`` throws.
    package func run() async throws -> Ending {
        try await withThrowingTaskGroup(of: Ending.self) { group in
            group.addTask {
                try await service.run()
                return .drained
            }
            group.addTask {
                try await line.broken()
                return .crashed
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .drained
        }
    }

    /// Asks it to end as `SIGTERM` does.
    package func drain() {
        service.drain()
    }
}

/// A simulated worker's line to its coordinator, which can be held and cut.
package final class SimulatedLine: Sendable {
    private enum State: Sendable {
        case open
        case held
        case broken
    }

    private let state = Watched(State.open)

    package init() {}

    /// Nothing passes until ``restore()``.
    func hold() {
        state.update { if case .open = $0 { $0 = .held } }
    }

    func restore() {
        state.update { if case .held = $0 { $0 = .open } }
    }

    /// Nothing passes any more.
    func cut() {
        state.update { $0 = .broken }
    }

    /// Returns once the line is cut.
    func broken() async throws {
        try await state.wait { if case .broken = $0 { () } else { nil } }
    }

    /// Waits until something may pass.
    ///
    /// - Throws: `CancellationError` when the line is cut.
    func pass() async throws {
        let isOpen = try await state.wait { state -> Bool? in
            switch state {
            case .open: true
            case .held: nil
            case .broken: false
            }
        }
        guard isOpen else { throw CancellationError() }
    }
}

/// The coordinator's calls over a simulated line; an answer does not come over a cut line either.
struct SimulatedCalls: CoordinatorCalls {
    let calls: any CoordinatorCalls
    let line: SimulatedLine

    private func over<Answer: Sendable>(
        _ call: () async throws -> Answer
    ) async throws -> Answer {
        try await line.pass()
        let answer = try await call()
        try await line.pass()
        return answer
    }

    func register(_ request: RegistrationRequest) async throws -> RegistrationAnswer {
        try await over { try await calls.register(request) }
    }

    func renew(
        _ worker: WorkerID,
        _ request: CredentialRequest
    ) async throws -> CredentialTerms {
        try await over { try await calls.renew(worker, request) }
    }

    func heartbeat(
        _ worker: WorkerID,
        _ request: HeartbeatRequest
    ) async throws -> HeartbeatAnswer {
        try await over { try await calls.heartbeat(worker, request) }
    }

    func claim(_ worker: WorkerID, _ request: ClaimRequest) async throws -> ClaimAnswer {
        try await over { try await calls.claim(worker, request) }
    }

    func leave(_ worker: WorkerID, epoch: Int64) async throws {
        try await over { try await calls.leave(worker, epoch: epoch) }
    }

    func downloadBlob(_ digest: BlobDigest, to path: String) async throws {
        try await over { try await calls.downloadBlob(digest, to: path) }
    }

    func artifact(_ key: ArtifactKey, _ fence: AttemptFence) async throws -> Data? {
        try await over { try await calls.artifact(key, fence) }
    }

    func putArtifact(_ bytes: Data, as key: ArtifactKey, _ fence: AttemptFence) async throws {
        try await over { try await calls.putArtifact(bytes, as: key, fence) }
    }

    func deliver(_ picture: Data, _ request: DeliveryRequest) async throws -> DeliveryAnswer {
        try await over { try await calls.deliver(picture, request) }
    }

    func saveCheckpoint(
        _ checkpoint: Data,
        _ request: CheckpointRequest
    ) async throws -> CheckpointAnswer {
        try await over { try await calls.saveCheckpoint(checkpoint, request) }
    }

    func draft(_ picture: Data, _ request: DraftRequest) async throws -> AttemptAnswer {
        try await over { try await calls.draft(picture, request) }
    }

    func complete(_ request: AttemptRequest) async throws -> AttemptAnswer {
        try await over { try await calls.complete(request) }
    }

    func fail(_ request: FailureRequest) async throws -> AttemptAnswer {
        try await over { try await calls.fail(request) }
    }

    func release(_ request: AttemptRequest) async throws -> AttemptAnswer {
        try await over { try await calls.release(request) }
    }
}
