import Synchronization

/// Something that costs the database much to read: read once for all who ask at one time, and remembered
/// for a while.
final class SharedReading<Value: Sendable>: Sendable {
    private enum Reading {
        case underWay(Task<Value, any Error>)
        case done(Value, at: ContinuousClock.Instant)
    }

    private let lifetime: Duration
    private let now: @Sendable () -> ContinuousClock.Instant
    private let read: @Sendable () async throws -> Value
    private let state = Mutex<Reading?>(nil)

    /// Something that is read by `read`.
    ///
    /// - Parameters:
    ///   - lifetime: How long it is remembered, from the end of the reading on.
    ///   - now: The time.
    ///   - read: Reads it.
    init(
        lifetime: Duration,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        read: @escaping @Sendable () async throws -> Value
    ) {
        self.lifetime = lifetime
        self.now = now
        self.read = read
    }

    /// What was read within the lifetime, or is read now.
    ///
    /// - Throws: What the reading throws, to all who waited for it; who asks next reads again.
    func value() async throws -> Value {
        let moment = now()
        let reading: Reading = state.withLock { state in
            switch state {
            case .done(let value, let end) where moment - end < lifetime:
                return .done(value, at: end)
            case .underWay(let task): return .underWay(task)
            case .done, nil:
                // Not structured: it is the others' reading too, whatever becomes of who began it.
                let task = Task { try await perform() }
                state = .underWay(task)
                return .underWay(task)
            }
        }
        switch reading {
        case .done(let value, _): return value
        case .underWay(let task): return try await task.value
        }
    }

    private func perform() async throws -> Value {
        do {
            let value = try await read()
            state.withLock { $0 = .done(value, at: now()) }
            return value
        } catch {
            state.withLock { $0 = nil }
            throw error
        }
    }
}
