import Dispatch
import Synchronization

/// Runs blocking work on a thread outside of the cooperative pool.
///
/// The queue is one of its own: on Linux the global queues share their threads with that pool.
func offPool<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue(label: "dreamfarm.postgres.blocking").async {
            continuation.resume(with: Result(catching: body))
        }
    }
}

/// Runs blocking work on a thread outside of the cooperative pool, and leaves it to itself when the
/// task is cancelled: this then throws `CancellationError` at once and the result is dropped.
func offPoolUnlessCancelled<R: Sendable>(
    _ body: @escaping @Sendable () throws -> R
) async throws -> R {
    let handover = Handover<R>()
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            handover.wait(continuation)
            DispatchQueue(label: "dreamfarm.postgres.blocking").async {
                handover.finish(Result(catching: body))
            }
        }
    } onCancel: {
        handover.finish(.failure(CancellationError()))
    }
}

/// Takes the first of several results to one continuation.
private final class Handover<R: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<R, any Error>?
        var result: Result<R, any Error>?
    }

    private let state = Mutex(State())

    func wait(_ continuation: CheckedContinuation<R, any Error>) {
        let result = state.withLock { state in
            if state.result == nil { state.continuation = continuation }
            return state.result
        }
        if let result { continuation.resume(with: result) }
    }

    func finish(_ result: Result<R, any Error>) {
        let continuation = state.withLock { state -> CheckedContinuation<R, any Error>? in
            guard state.result == nil else { return nil }
            state.result = result
            return state.continuation.take()
        }
        continuation?.resume(with: result)
    }
}
