import FoundationEssentials
import Synchronization

/// Bytes on their way from the loop's thread to a task.
final class ReceivingChannel: Sendable {
    /// How many bytes wait before the exchange does.
    private static let limit = 1 << 20

    private struct State {
        var bytes = Data()
        var isPaused = false
        var end: Result<Void, any Error>?
        var reader: CheckedContinuation<Data?, any Error>?
    }

    private let state = Mutex(State())

    /// Takes bytes in, or returns false where the exchange has to wait and offer them again.
    func offer(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let (isTaken, reader) = state.withLock { state in
            if let reader = state.reader {
                state.reader = nil
                return (true, reader as CheckedContinuation<Data?, any Error>?)
            }
            guard state.bytes.count < Self.limit else {
                state.isPaused = true
                return (false, nil)
            }
            state.bytes.append(contentsOf: bytes)
            return (true, nil)
        }
        reader?.resume(returning: Data(bytes))
        return isTaken
    }

    /// Ends the stream after what has come.
    func finish(_ end: Result<Void, any Error>) {
        let reader = state.withLock { state in
            if state.end == nil { state.end = end }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(with: end.map { nil })
    }

    /// The bytes that have come, waiting for some; nil at the end.
    func next(resume: () -> Void) async throws -> Data? {
        let (ready, wasPaused) = take()
        if wasPaused { resume() }
        if let ready { return try ready.get() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready = state.withLock { state in
                    let ready = Self.take(from: &state)
                    if ready == nil { state.reader = continuation }
                    return ready
                }
                if let ready { continuation.resume(with: ready) }
            }
        } onCancel: {
            finish(.failure(CancellationError()))
        }
    }

    private func take() -> (ready: Result<Data?, any Error>?, wasPaused: Bool) {
        state.withLock { state in
            let wasPaused = state.isPaused
            state.isPaused = false
            return (Self.take(from: &state), wasPaused)
        }
    }

    private static func take(from state: inout State) -> Result<Data?, any Error>? {
        guard state.bytes.isEmpty else {
            defer { state.bytes = Data() }
            return .success(state.bytes)
        }
        return state.end?.map { nil }
    }
}

/// Bytes on their way from a task to the loop's thread.
final class SendingChannel: Sendable {
    private struct State {
        var bytes = Data()
        var isFinished = false
        var isReaderWaiting = false
        var sender: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Hands one chunk over and waits until the one before is gone.
    ///
    /// - Parameters:
    ///   - chunk: The bytes that follow.
    ///   - resume: Called where the exchange waits for them.
    func send(_ chunk: Data, resume: () -> Void) async {
        guard !chunk.isEmpty else { return }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isFree = state.withLock { state in
                    guard state.bytes.isEmpty || state.isFinished else {
                        state.sender = continuation
                        return false
                    }
                    return true
                }
                if isFree { continuation.resume() }
            }
        } onCancel: {
            finish {}
        }
        let wasWaiting = state.withLock { state in
            state.bytes = chunk
            defer { state.isReaderWaiting = false }
            return state.isReaderWaiting
        }
        if wasWaiting { resume() }
    }

    /// Says that no chunk follows.
    func finish(resume: () -> Void) {
        let (sender, wasWaiting) = state.withLock { state in
            state.isFinished = true
            defer {
                state.sender = nil
                state.isReaderWaiting = false
            }
            return (state.sender, state.isReaderWaiting)
        }
        sender?.resume()
        if wasWaiting { resume() }
    }

    /// Fills `buffer` and returns how many bytes it got: 0 at the end, nil where none are there yet.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        let (count, sender) = state.withLock { state in
            guard !state.bytes.isEmpty else {
                if state.isFinished { return (0 as Int?, nil as CheckedContinuation<Void, Never>?) }
                state.isReaderWaiting = true
                return (nil, nil)
            }
            let count = state.bytes.copyBytes(to: buffer)
            state.bytes = state.bytes.dropFirst(count)
            guard state.bytes.isEmpty else { return (count, nil) }
            defer { state.sender = nil }
            return (count, state.sender)
        }
        sender?.resume()
        return count
    }
}
