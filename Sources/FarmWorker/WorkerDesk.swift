import FarmModel

/// What a worker's loops share: who it is, what it holds, what is wanted of it, what is to be told.
///
/// The loops wait here for each other, so that the next task is claimed while one renders and a
/// picture is uploaded while the next one renders.
final class WorkerDesk: Sendable {
    private let state: Watched<State>

    private struct State: Sendable {
        var registration: RegistrationAnswer?
        /// The computed conditions at hand that the coordinator was told of.
        var toldArtifacts: Set<ArtifactKey> = []
        var desired = DesiredWorkerState.run
        /// How the worker ends; nil while it is to go on.
        var drain: DrainMode?
        var isGraceOver = false
        var held: [HeldAttempt] = []
        /// Claimed, prepared, and waiting for the renderer.
        var waiting: PreparedTask?
        /// The attempt that renders.
        var rendering: HeldAttempt?
        var isClaimingOver = false
        var parcels: [Parcel] = []
        var isRenderingOver = false

        var isAccepting: Bool { desired == .run && drain == nil }

        /// Whether the renderer still works at an attempt whose lease is over, and perhaps for
        /// ever: what waits behind it may be rendered elsewhere.
        var isStuck: Bool { rendering?.stop == .lost }
        var bytes: Int64 { parcels.reduce(0) { $0 + $1.size } }
    }

    /// How many bytes may wait to be told before rendering pauses.
    private let room: Int64

    init(room: Int64) {
        self.room = room
        state = Watched(State())
    }

    // MARK: - Who the worker is

    var registration: RegistrationAnswer? { state.read { $0.registration } }

    func register(_ answer: RegistrationAnswer, telling artifacts: [ArtifactKey]) {
        state.update { state in
            state.registration = answer
            state.toldArtifacts = Set(artifacts)
            state.desired = answer.desiredState
        }
    }

    /// Whether the coordinator was told other conditions than these, in whatever order.
    func isNews(_ artifacts: [ArtifactKey]) -> Bool {
        state.read { $0.toldArtifacts != Set(artifacts) }
    }

    /// Notes that the coordinator was told of conditions.
    func told(_ artifacts: [ArtifactKey]) {
        state.update { $0.toldArtifacts = Set(artifacts) }
    }

    /// Forgets a registration that the coordinator does not know, unless there is a newer one.
    func forget(_ registration: RegistrationAnswer) {
        state.update { state in
            if state.registration == registration { state.registration = nil }
        }
    }

    // MARK: - What is wanted

    var desired: DesiredWorkerState { state.read { $0.desired } }
    var drain: DrainMode? { state.read { $0.drain } }
    var isGraceOver: Bool { state.read { $0.isGraceOver } }

    /// Where the worker sees itself.
    var workerState: WorkerState {
        state.read { state in
            if state.drain != nil { return .draining }
            switch state.desired {
            case .run: return state.held.isEmpty ? .idle : .busy
            case .drain: return .draining
            case .sleep: return state.held.isEmpty ? .asleep : .draining
            case .quarantine: return .quarantined
            }
        }
    }

    /// What is told of it at the worker's endpoint.
    var readings: WorkerReadings {
        let standing = workerState
        return state.read { state in
            var readings = WorkerReadings()
            readings.state = standing
            readings.leaseSeconds = state.registration?.leaseSeconds
            readings.held = state.held.count
            readings.step = state.rendering?.step ?? (0, 0)
            readings.waitingBytes = state.bytes
            return readings
        }
    }

    /// Follows what the coordinator wants.
    ///
    /// - Returns: Whether that is news.
    func want(_ desired: DesiredWorkerState, drain mode: DrainMode) -> Bool {
        let (isNews, held) = state.update { state -> (Bool, [HeldAttempt]) in
            guard state.desired != desired else { return (false, []) }
            state.desired = desired
            return (true, state.held)
        }
        guard isNews else { return false }
        switch desired {
        case .run, .sleep: break
        case .drain: beginDrain(mode)
        case .quarantine: for attempt in held { attempt.stop(.drain) }
        }
        return true
    }

    /// Ends the worker: nothing new is begun.
    func beginDrain(_ mode: DrainMode) {
        let held = state.update { state in
            state.drain = state.drain == .release ? .release : mode
            return state.held
        }
        guard mode == .release else { return }
        for attempt in held { attempt.stop(.drain) }
    }

    /// Ends the time for which a draining worker waits for anything.
    func endGrace() {
        state.update { $0.isGraceOver = true }
        beginDrain(.release)
    }

    /// Returns once nothing is waited for any more.
    func graceEnded() async throws {
        try await state.wait { $0.isGraceOver ? () : nil }
    }

    /// Returns once the worker is to end.
    func drained() async throws {
        _ = try await state.wait { $0.drain }
    }

    // MARK: - Claiming

    /// What the claim loop is to do next.
    enum ClaimStep: Sendable {
        case claim(RegistrationAnswer, busy: HeldAttempt?)
        /// To give back what was claimed ahead.
        case withdraw(PreparedTask)
        case end
    }

    /// Waits until there is something for the claim loop to do.
    func nextClaimStep() async throws -> ClaimStep {
        let room = room
        return try await state.wait { state -> ClaimStep? in
            if !state.isAccepting || state.isStuck, let waiting = state.waiting {
                state.waiting = nil
                return .withdraw(waiting)
            }
            if state.drain != nil { return .end }
            guard state.isAccepting, !state.isStuck, state.waiting == nil, state.bytes < room,
                let registration = state.registration
            else { return nil }
            return .claim(registration, busy: state.rendering)
        }
    }

    /// Returns once nothing more is to be claimed, for whatever reason.
    func refusing() async throws {
        try await state.wait { $0.isAccepting && $0.registration != nil ? nil : () }
    }

    /// Holds a claimed attempt.
    ///
    /// - Returns: Whether it is wanted, now that it came.
    func hold(_ attempt: HeldAttempt) -> Bool {
        state.update { state in
            state.held.append(attempt)
            return state.isAccepting
        }
    }

    /// Lays a prepared task out for the render loop.
    func lay(_ task: PreparedTask) {
        state.update { $0.waiting = task }
    }

    func endClaiming() {
        state.update { $0.isClaimingOver = true }
    }

    // MARK: - Rendering

    /// The next task to render, or nil when no more will come.
    func nextTask() async throws -> PreparedTask? {
        let room = room
        let next = try await state.wait { state -> PreparedTask?? in
            if state.isAccepting, state.bytes < room, let task = state.waiting {
                state.waiting = nil
                state.rendering = task.attempt
                return .some(task)
            }
            return state.isClaimingOver && state.waiting == nil ? .some(nil) : nil
        }
        return next
    }

    /// Waits until there is room for one more picture.
    func waitForRoom() async throws {
        let room = room
        try await state.wait { $0.bytes < room || $0.isGraceOver ? () : nil }
    }

    func endTask() {
        state.update { $0.rendering = nil }
    }

    func endRendering() {
        state.update { $0.isRenderingOver = true }
    }

    // MARK: - Telling

    /// Lays something out to be told; what it makes pointless goes.
    ///
    /// - Returns: Whether it will be told: not where its attempt was dropped.
    @discardableResult
    func post(_ parcel: Parcel) -> Bool {
        state.update { state in
            guard state.held.contains(where: { $0 === parcel.attempt }) else { return false }
            state.parcels.removeAll { $0.isReplaced(by: parcel) }
            state.parcels.append(parcel)
            return true
        }
    }

    /// The next thing to tell, or nil when nothing more will come.
    func nextParcel() async throws -> Parcel? {
        try await state.wait { state -> Parcel?? in
            guard state.parcels.isEmpty else { return .some(state.parcels.removeFirst()) }
            return state.isRenderingOver ? .some(nil) : nil
        }
    }

    /// Lets an attempt go, with all that is still to be told of it.
    ///
    /// - Returns: What is not told any more.
    @discardableResult
    func drop(_ attempt: HeldAttempt) -> [Parcel] {
        state.update { state in
            state.held.removeAll { $0 === attempt }
            let dropped = state.parcels.filter { $0.attempt === attempt }
            state.parcels.removeAll { $0.attempt === attempt }
            return dropped
        }
    }

    // MARK: - What is held

    /// Everything that is claimed and not ended, in the order of the claims.
    var held: [HeldAttempt] { state.read { $0.held } }

    /// Returns once nothing is held.
    func holdsNothing() async throws {
        try await state.wait { $0.held.isEmpty ? () : nil }
    }

    func held(_ attempt: AttemptID) -> HeldAttempt? {
        state.read { state in state.held.first { $0.fence.attempt == attempt } }
    }

    /// Takes the waiting task away if it is that of `attempt`.
    func withdraw(_ attempt: HeldAttempt) -> PreparedTask? {
        state.update { state in
            guard let waiting = state.waiting, waiting.attempt === attempt else { return nil }
            state.waiting = nil
            return waiting
        }
    }

    /// Returns once the heartbeat has something to say or do at once: the worker is to be
    /// registered, or begins to drain.
    func presenceChanged(since drain: DrainMode?) async throws {
        try await state.wait { state -> Void? in
            state.registration == nil || (state.drain == nil) != (drain == nil) ? () : nil
        }
    }
}

/// How a worker ends on request.
package enum DrainMode: String, Sendable, CaseIterable {
    /// It finishes the picture that it renders.
    case finish
    /// It stops at the next step and gives the task back with a checkpoint.
    case release
}
