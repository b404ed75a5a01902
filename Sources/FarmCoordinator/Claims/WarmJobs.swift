import FarmModel
import Synchronization

/// Which jobs' computed conditions a worker has at hand, as far as this coordinator heard of it.
///
/// Which conditions a job needs is what its workers asked for or shared under its leases. What is
/// forgotten, or was told to another coordinator, costs a better place and nothing else.
final class WarmJobs: Sendable {
    private struct State {
        var artifacts: [WorkerID: Set<ArtifactKey>] = [:]
        var jobs: [ArtifactKey: Set<JobID>] = [:]
    }

    private static let jobsPerArtifact = 64

    private let capacity: Int
    private let state = Mutex(State())

    /// - Parameter capacity: How many workers, and how many conditions, are remembered; beyond
    ///   that all are forgotten.
    init(capacity: Int = 20_000) {
        self.capacity = capacity
    }

    /// Notes what a worker has at hand.
    func note(_ artifacts: [ArtifactKey], of worker: WorkerID) {
        state.withLock { state in
            if state.artifacts.count >= capacity { state.artifacts = [:] }
            state.artifacts[worker] = artifacts.isEmpty ? nil : Set(artifacts)
        }
    }

    /// Notes that a job needs a condition.
    func note(_ artifact: ArtifactKey, neededBy job: JobID) {
        state.withLock { state in
            if state.jobs.count >= capacity, state.jobs[artifact] == nil { state.jobs = [:] }
            // Of a condition that many jobs need the latest are remembered.
            if (state.jobs[artifact] ?? []).count >= Self.jobsPerArtifact {
                state.jobs[artifact] = []
            }
            state.jobs[artifact, default: []].insert(job)
        }
    }

    /// Forgets a worker that is gone.
    func forget(_ worker: WorkerID) {
        state.withLock { $0.artifacts[worker] = nil }
    }

    /// The jobs of which a worker has a condition at hand.
    func jobs(of worker: WorkerID) -> Set<JobID> {
        state.withLock { state in
            (state.artifacts[worker] ?? []).reduce(into: []) { jobs, artifact in
                if let needing = state.jobs[artifact] { jobs.formUnion(needing) }
            }
        }
    }
}
