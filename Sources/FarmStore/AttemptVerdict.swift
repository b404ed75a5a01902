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
    /// The group that rendered it lost a member, for a reason in words.
    case memberLost(String)
    /// It made room for a task of a higher band.
    case parked(Parking)
    /// It reached the step after which a person decides.
    case drafted(DraftRecord)

    /// The outcome as the attempt's row has it.
    var outcome: String { ending.rawValue }

    /// How the attempt ended, as the API and the metrics name it.
    var ending: AttemptEnding {
        switch self {
        case .succeeded: .succeeded
        case .failed: .failed
        case .lapsed, .replaced: .lapsed
        case .released, .memberLost: .released
        case .parked: .parked
        case .drafted: .drafted
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
        case .memberLost(let reason):
            AttemptFailure(failureClass: .transient, message: "the group lost a member: \(reason)")
        case .succeeded, .released, .parked, .drafted: nil
        }
    }

    /// Where it was, if it made room.
    var parking: Parking? {
        guard case .parked(let parking) = self else { return nil }
        return parking
    }

    /// What it made, if that is a draft.
    var draft: DraftRecord? {
        guard case .drafted(let draft) = self else { return nil }
        return draft
    }

    /// The same of an attempt of a group, whose first rank it befell.
    var ofGroup: AttemptEnd {
        switch self {
        case .lapsed: .memberLost("its first rank was not heard of until the lease ran out")
        case .replaced: .memberLost("its first rank ended without a word and was started again")
        case .succeeded, .failed, .released, .memberLost, .parked, .drafted: self
        }
    }

    /// Whether its failure is held against the worker that claimed it.
    var blamesWorker: Bool {
        switch self {
        case .failed, .lapsed, .replaced: true
        case .succeeded, .released, .memberLost, .parked, .drafted: false
        }
    }
}

/// What an attempt was at.
struct AttemptScope: Sendable, Hashable {
    /// The indices of the task's images that wait, the first first.
    var todo: [Int]
    /// How many images the attempt delivered.
    var delivered = 0
    /// Whether only the first of them was claimed.
    var isNarrow = false
    /// Whether images of the task were given up before.
    var hasGivenUp = false

    /// How many images were claimed.
    var claimed: Int { isNarrow ? 1 : max(1, delivered + todo.count) }
}

/// What counts against a task: failures, the lapsed leases among them, and beside them how often
/// its group lost a member.
struct FailureTally: Sendable, Hashable {
    var failures: Int
    var lapses: Int
    var groupLosses = 0
    let maxAttempts: Int

    /// Counts from the beginning.
    mutating func clear() {
        failures = 0
        lapses = 0
        groupLosses = 0
    }
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
    /// The image that is given up while the task goes on with the others.
    var givenUp: Int?
    /// Whether the task's images are claimed one at a time from now on.
    var narrows = false

    /// How many of so many images that wait are given up.
    func givenUp(of waiting: Int) -> Int {
        event == .failForGood ? waiting : givenUp == nil ? 0 : 1
    }

    /// Judges the end of an attempt.
    ///
    /// A task whose images are all delivered has succeeded, however its attempt ended. Transient
    /// failures and the worker's faults are tried again after a back-off that doubles, a resource
    /// failure without counting; a deterministic failure is final. A draft waits for a person. A task that has used up its
    /// attempts, or its lapses, is poison, and so is one whose group lost a member too often. An
    /// attempt that delivered something starts the count anew.
    ///
    /// What is final is so for one image: for that which failed; where it is not known which of
    /// several it was, they are tried one at a time.
    init(
        _ end: AttemptEnd,
        at scope: AttemptScope,
        tally: FailureTally,
        configuration: FarmStoreConfiguration
    ) {
        var tally = tally
        guard !scope.todo.isEmpty else {
            self.init(
                event: scope.hasGivenUp ? .failForGood : .succeed,
                tally: tally,
                backoff: .zero,
                failure: nil
            )
            return
        }
        if scope.delivered > 0 { tally.clear() }
        switch end {
        case .succeeded, .released, .parked:
            self.init(event: .release, tally: tally, backoff: .zero, failure: nil)
        case .drafted:
            tally.clear()
            self.init(event: .draft, tally: tally, backoff: .zero, failure: nil)
        case .memberLost(let reason):
            tally.groupLosses += 1
            self.init(event: .release, tally: tally, backoff: .zero, failure: nil)
            self = countedLoss(of: reason, at: scope, configuration)
        case .failed(let failure) where failure.failureClass == .resource:
            self.init(
                event: .failForNow,
                tally: tally,
                backoff: configuration.backoff,
                failure: failure
            )
        case .failed(let failure) where failure.failureClass == .deterministic:
            tally.failures += 1
            self.init(event: .failForNow, tally: tally, backoff: .zero, failure: failure)
            self = giving(up: failure, at: scope)
        case .failed(let failure):
            tally.failures += 1
            let doublings = min(tally.failures - 1, 20)
            let backoff = min(configuration.backoff * (1 << doublings), configuration.maxBackoff)
            self.init(event: .failForNow, tally: tally, backoff: backoff, failure: failure)
            self = counted(failure, at: scope, configuration)
        case .lapsed, .replaced:
            tally.failures += 1
            tally.lapses += 1
            let failure = end.failure ?? AttemptEnd.lapse
            self.init(event: .lapse, tally: tally, backoff: .zero, failure: failure)
            self = counted(failure, at: scope, configuration)
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

    /// The verdict, or that something is given up where it was one failure too many.
    private func counted(
        _ failure: AttemptFailure,
        at scope: AttemptScope,
        _ configuration: FarmStoreConfiguration
    ) -> AttemptVerdict {
        guard tally.failures >= tally.maxAttempts || tally.lapses >= configuration.maxLapses else {
            return self
        }
        let poison = AttemptFailure(
            failureClass: failure.failureClass,
            message: """
                poison: given up after \(tally.failures) failed attempts, \(tally.lapses) of them lapsed \
                leases; the last: \(failure.message)
                """,
            image: failure.image
        )
        return giving(up: poison, at: scope)
    }

    /// The verdict, or that something is given up where a group lost a member once too often.
    private func countedLoss(
        of reason: String,
        at scope: AttemptScope,
        _ configuration: FarmStoreConfiguration
    ) -> AttemptVerdict {
        guard tally.groupLosses >= configuration.maxGroupLosses else { return self }
        let poison = AttemptFailure(
            failureClass: .transient,
            message: """
                poison: given up after the group lost a member \(tally.groupLosses) times while \
                rendering it; the last: \(reason); the audit's group.epoch_ended names the workers: \
                look at their memory and logs, then retry it, in a larger group where memory is short
                """
        )
        return giving(up: poison, at: scope)
    }

    /// The verdict on a failure that is final for the image that it is of; the others begin with a
    /// clean count.
    private func giving(up failure: AttemptFailure, at scope: AttemptScope) -> AttemptVerdict {
        guard scope.todo.count > 1 else {
            return AttemptVerdict(
                event: .failForGood,
                tally: tally,
                backoff: .zero,
                failure: failure
            )
        }
        var tally = tally
        tally.clear()
        let culprit = scope.isNarrow ? scope.todo.first : failure.image
        guard let culprit, scope.todo.contains(culprit) else {
            var verdict = AttemptVerdict(
                event: event,
                tally: tally,
                backoff: backoff,
                failure: self.failure
            )
            verdict.narrows = true
            return verdict
        }
        var verdict = AttemptVerdict(event: event, tally: tally, backoff: .zero, failure: failure)
        verdict.givenUp = culprit
        return verdict
    }
}
