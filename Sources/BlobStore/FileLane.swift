import Dispatch
import Synchronization

/// A thread for the blocking calls of files, which would hold up the cooperative pool.
///
/// There are sixteen lanes, so that as many disks' waits can pass at a time, however many files
/// are open.
struct FileLane: Sendable {
    private let queue: DispatchQueue

    private static let lanes = (0..<16).map { DispatchQueue(label: "dreamfarm.blobs.\($0)") }
    private static let turn = Atomic(0)

    /// The lane whose turn it is; a file keeps its lane.
    static func next() -> FileLane {
        let turn = turn.add(1, ordering: .relaxed).oldValue
        return FileLane(queue: lanes[turn % lanes.count])
    }

    /// Runs `body` on the lane's thread, after what was given to the lane before.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }
}
