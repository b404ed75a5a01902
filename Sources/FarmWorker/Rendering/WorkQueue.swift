import Dispatch

/// Runs what blocks or computes for long, one piece after the other, away from the cooperative
/// threads.
struct WorkQueue: Sendable {
    private let queue: DispatchQueue

    init(_ label: String, qos: DispatchQoS) {
        queue = DispatchQueue(label: label, qos: qos)
    }

    /// Runs a piece behind those before it, and returns what it does.
    func run<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Swift.Result { try body() }) }
        }
    }

    /// Lets a piece run behind those before it.
    func begin(_ body: @escaping @Sendable () -> Void) {
        queue.async(execute: body)
    }
}
