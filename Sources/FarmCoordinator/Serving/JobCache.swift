import FarmModel
import FarmStore
import Synchronization
import Telemetry

/// A job as handlers need it again and again: what never changes of it, read and parsed once.
struct CachedJob: Sendable {
    let id: JobID
    let owner: String
    let name: String
    /// What its images follow from; nil for a specification that this release cannot read.
    let resolved: ResolvedJob?
    /// Where in a trace it was submitted; nil in none.
    var trace: TraceContext?

    /// The name of one image's output file.
    func name(at index: Int) -> String { resolved?.name(at: index) ?? "\(index).png" }
}

/// Jobs by id, so that a claim or a list of images parses no specification; the least recently used
/// go first.
final class JobCache: Sendable {
    private struct Entry {
        var job: CachedJob
        var used: UInt64
    }

    private struct State {
        var entries: [JobID: Entry] = [:]
        var uses: UInt64 = 0
    }

    private let store: FarmStore
    private let capacity: Int
    private let state = Mutex(State())

    init(store: FarmStore, capacity: Int = 1000) {
        self.store = store
        self.capacity = capacity
    }

    /// The job `id`.
    ///
    /// - Throws: ``CoordinatorProblem`` of kind not-found where there is none.
    func job(_ id: JobID) async throws -> CachedJob {
        if let job = find(id) { return job }
        guard let record = try await store.job(id) else {
            throw CoordinatorProblem(.notFound, "there is no job \(id)")
        }
        return job(of: record)
    }

    /// The job of a record that was read already.
    func job(of record: JobRecord) -> CachedJob {
        if let job = find(record.id) { return job }
        let job = CachedJob(
            id: record.id,
            owner: record.owner,
            name: record.name,
            resolved: try? ResolvedJob(json: record.specification),
            trace: TraceContext(traceparent: record.traceparent, tracestate: record.tracestate)
        )
        keep(job)
        return job
    }

    /// Keeps a job that was just accepted, so that its first claim parses nothing.
    func note(_ record: JobRecord, _ resolved: ResolvedJob) {
        keep(
            CachedJob(
                id: record.id,
                owner: record.owner,
                name: record.name,
                resolved: resolved,
                trace: TraceContext(traceparent: record.traceparent, tracestate: record.tracestate)
            )
        )
    }

    /// Forgets a job that was deleted.
    func forget(_ id: JobID) {
        state.withLock { $0.entries[id] = nil }
    }

    /// Forgets the jobs of an owner who was erased.
    func forget(owner: String) {
        state.withLock { state in
            state.entries = state.entries.filter { $0.value.job.owner != owner }
        }
    }

    private func find(_ id: JobID) -> CachedJob? {
        state.withLock { state in
            state.uses += 1
            state.entries[id]?.used = state.uses
            return state.entries[id]?.job
        }
    }

    private func keep(_ job: CachedJob) {
        state.withLock { state in
            state.uses += 1
            state.entries[job.id] = Entry(job: job, used: state.uses)
            guard state.entries.count > capacity else { return }
            // A tenth goes at once, so that the search for the oldest is rare.
            let uses = state.entries.values.map(\.used).sorted()
            let oldest = uses[min(capacity / 10, uses.count - 1)]
            state.entries = state.entries.filter { $0.value.used > oldest }
        }
    }
}
