import FarmClient
import FarmModel
import HTTPTransport
import Logging

/// Repeats calls of a coordinator that is away.
struct Retrying: Sendable {
    let clock: any Clock<Duration>
    /// The wait after a failed call; it doubles up to ``largest``.
    let first: Duration
    let largest: Duration
    let logger: Logger

    /// Repeats a call until the coordinator answers it, or until there is nothing to wait for.
    ///
    /// - Parameters:
    ///   - name: What the log calls it.
    ///   - isPointless: Whether there is no use in trying again.
    ///   - call: The call.
    /// - Returns: The answer, or nil when trying again became pointless.
    /// - Throws: ``FarmClientError`` when the coordinator refuses, `CancellationError`, and
    ///   whatever else the call throws.
    func untilAnswered<Answer: Sendable>(
        _ name: String,
        unless isPointless: () -> Bool,
        _ call: () async throws -> Answer
    ) async throws -> Answer? {
        var backoff = Backoff(first: first, largest: largest)
        while true {
            do {
                return try await call()
            } catch let error as FarmClientError where error.mayPass {
                try Task.checkCancellation()
                guard !isPointless() else { return nil }
                logger.warning("Call failed", metadata: ["call": "\(name)", "error": "\(error)"])
                try await clock.sleep(for: backoff.next())
            }
        }
    }
}

/// Waits that double up to a bound.
struct Backoff: Sendable {
    private var delay: Duration
    private let largest: Duration

    init(first: Duration, largest: Duration) {
        delay = min(first, largest)
        self.largest = largest
    }

    /// The next wait.
    mutating func next() -> Duration {
        defer { delay = min(delay * 2, largest) }
        return delay
    }
}

extension FarmClientError {
    /// Whether the same call may be answered later.
    var mayPass: Bool {
        switch self {
        case .unreachable, .unreadable: true
        case .refused(let problem): problem.status >= 500 || problem.status == 429
        case .noToken: false
        }
    }

    /// Whether the coordinator does not know what the client shows.
    var isUnauthorized: Bool { kind == .unauthorized }

    /// Whether the coordinator does not know what the call names.
    var isNotFound: Bool { kind == .notFound }
}
