import FarmModel

/// How an attempt came to its end.
enum AttemptEnd: Sendable, Hashable {
    /// Every image is delivered.
    case succeeded
    /// The worker says that it failed.
    case failed(AttemptFailure)
    /// The lease ran out, for a reason that nobody knows.
    case lapsed
    /// Another process took its worker's place before the lease ran out.
    case replaced
    /// The worker gave the task back, unharmed.
    case released

    /// The outcome as the attempt's row has it.
    var outcome: String {
        switch self {
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .lapsed, .replaced: "lapsed"
        case .released: "released"
        }
    }

    /// A lapse counts as a failure of unknown cause, which may pass.
    static let lapse = AttemptFailure(
        failureClass: .transient,
        message: "the worker was not heard of until its lease ran out"
    )

    /// The same, known sooner.
    static let replacement = AttemptFailure(
        failureClass: .transient,
        message: "the worker's process ended without a word and was started again"
    )

    /// What the attempt's row says of its failure.
    var failure: AttemptFailure? {
        switch self {
        case .failed(let failure): failure
        case .lapsed: Self.lapse
        case .replaced: Self.replacement
        case .succeeded, .released: nil
        }
    }
}

/// What counts against a task: failures, and the lapsed leases among them.
struct FailureTally: Sendable, Hashable {
    var failures: Int
    var lapses: Int
    let maxAttempts: Int
}

/// What the end of an attempt does to its task; pure, the store does what it says.
struct AttemptVerdict: Sendable, Hashable {
    /// The event of the task's state machine.
    let event: TaskEvent
    let tally: FailureTally
    /// How long the task rests before it can be claimed again.
    let backoff: Duration
    /// What the task and its images say when they failed, or failed last.
    let failure: AttemptFailure?

    /// Judges the end of an attempt.
    ///
    /// A task whose images are all delivered has succeeded, however its attempt ended. Transient
    /// failures and the worker's faults are tried again after a back-off that doubles, a resource
    /// failure without counting; a deterministic failure is final. A task that has used up its
    /// attempts, or its lapses, is poison.
    init(
        _ end: AttemptEnd,
        undelivered: Int,
        tally: FailureTally,
        configuration: FarmStoreConfiguration
    ) {
        var tally = tally
        guard undelivered > 0 else {
            self.init(event: .succeed, tally: tally, backoff: .zero, failure: nil)
            return
        }
        switch end {
        case .succeeded, .released:
            self.init(event: .release, tally: tally, backoff: .zero, failure: nil)
        case .failed(let failure) where failure.failureClass == .resource:
            self.init(
                event: .failForNow,
                tally: tally,
                backoff: configuration.backoff,
                failure: failure
            )
        case .failed(let failure) where failure.failureClass == .deterministic:
            tally.failures += 1
            self.init(event: .failForGood, tally: tally, backoff: .zero, failure: failure)
        case .failed(let failure):
            tally.failures += 1
            let doublings = min(tally.failures - 1, 20)
            let backoff = min(configuration.backoff * (1 << doublings), configuration.maxBackoff)
            self = Self.countedFailure(failure, .failForNow, tally, backoff, configuration)
        case .lapsed, .replaced:
            tally.failures += 1
            tally.lapses += 1
            self = Self.countedFailure(
                end.failure ?? AttemptEnd.lapse,
                .lapse,
                tally,
                .zero,
                configuration
            )
        }
    }

    private init(
        event: TaskEvent,
        tally: FailureTally,
        backoff: Duration,
        failure: AttemptFailure?
    ) {
        self.event = event
        self.tally = tally
        self.backoff = backoff
        self.failure = failure
    }

    private static func countedFailure(
        _ failure: AttemptFailure,
        _ event: TaskEvent,
        _ tally: FailureTally,
        _ backoff: Duration,
        _ configuration: FarmStoreConfiguration
    ) -> AttemptVerdict {
        guard tally.failures >= tally.maxAttempts || tally.lapses >= configuration.maxLapses else {
            return AttemptVerdict(event: event, tally: tally, backoff: backoff, failure: failure)
        }
        let poison = AttemptFailure(
            failureClass: failure.failureClass,
            message: """
                poison: given up after \(tally.failures) failed attempts, \(tally.lapses) of them lapsed \
                leases; the last: \(failure.message)
                """
        )
        return AttemptVerdict(event: .failForGood, tally: tally, backoff: .zero, failure: poison)
    }
}
