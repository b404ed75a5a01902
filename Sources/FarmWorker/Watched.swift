import Synchronization

/// A value that several tasks change, and on which they can wait.
///
/// Waiting costs no thread, so that thousands of workers fit into one process.
package final class Watched<Value: Sendable>: Sendable {
    private struct Waiter: Sendable {
        let id: UInt64
        /// Takes what it waits for out of the value; returns how to go on once it could.
        let attempt: @Sendable (inout Value) -> (@Sendable () -> Void)?
        /// Ends the wait because its task was cancelled.
        let cancel: @Sendable () -> Void
    }

    private struct State {
        var value: Value
        var waiters: [Waiter] = []
        var nextID: UInt64 = 0
        /// Waits that are about to begin, and whether they were cancelled meanwhile.
        var beginning: [UInt64: Bool] = [:]
    }

    private let state: Mutex<State>

    package init(_ value: Value) {
        state = Mutex(State(value: value))
    }

    /// What `look` sees in the value now.
    package func read<Result: Sendable>(_ look: (Value) -> Result) -> Result {
        state.withLock { look($0.value) }
    }

    /// Changes the value, then lets those go on that were waiting for it.
    @discardableResult
    package func update<Result: Sendable>(_ change: (inout Value) -> Result) -> Result {
        let (result, resumed) = state.withLock { state in
            let result = change(&state.value)
            return (result, Self.settle(&state))
        }
        for resume in resumed { resume() }
        return result
    }

    /// Waits until `take` returns something; `take` may change the value as it does.
    ///
    /// `take` is tried at once and after every change, in the order of the waits.
    ///
    /// - Parameter take: Looks at the value and returns what the caller waits for, or nil.
    /// - Returns: What `take` returned.
    /// - Throws: `CancellationError` when the task is cancelled.
    package func wait<Result: Sendable>(
        _ take: @escaping @Sendable (inout Value) -> Result?
    ) async throws -> Result {
        try Task.checkCancellation()
        let id = state.withLock { state in
            state.nextID += 1
            state.beginning[state.nextID] = false
            return state.nextID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let waiter = Waiter(
                    id: id,
                    attempt: { value in
                        guard let result = take(&value) else { return nil }
                        return { continuation.resume(returning: result) }
                    },
                    cancel: { continuation.resume(throwing: CancellationError()) }
                )
                begin(waiter)
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func begin(_ waiter: Waiter) {
        let resumed = state.withLock { state -> [@Sendable () -> Void] in
            guard state.beginning.removeValue(forKey: waiter.id) == false else {
                return [waiter.cancel]
            }
            state.waiters.append(waiter)
            return Self.settle(&state)
        }
        for resume in resumed { resume() }
    }

    private func cancel(_ id: UInt64) {
        let cancel = state.withLock { state -> (@Sendable () -> Void)? in
            if let index = state.waiters.firstIndex(where: { $0.id == id }) {
                return state.waiters.remove(at: index).cancel
            }
            // Not yet begun, or over already.
            if state.beginning[id] != nil { state.beginning[id] = true }
            return nil
        }
        cancel?()
    }

    /// Takes out the waiters that can go on; one that changed the value may let others go on.
    private static func settle(_ state: inout State) -> [@Sendable () -> Void] {
        var resumed: [@Sendable () -> Void] = []
        var index = 0
        while index < state.waiters.count {
            if let resume = state.waiters[index].attempt(&state.value) {
                resumed.append(resume)
                state.waiters.remove(at: index)
                index = 0
            } else {
                index += 1
            }
        }
        return resumed
    }
}
