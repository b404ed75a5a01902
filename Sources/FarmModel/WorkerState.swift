/// Where a worker stands.
package enum WorkerState: String, Codable, CaseIterable, Sendable {
    /// Registered; its model is not yet resident.
    case starting
    /// Asks for tasks and has none.
    case idle
    /// Holds at least one lease, whatever its row says.
    case busy
    /// Finishes what it holds and takes nothing new.
    case draining
    /// Told to take nothing until it is woken.
    case asleep
    /// Kept from tasks because it failed too many.
    case quarantined
    /// Not heard of for too long.
    case lost

    /// The state after `event`, or nil where the event cannot happen.
    package func state(after event: WorkerEvent) -> WorkerState? {
        switch (self, event) {
        case (.starting, .becomeReady), (.asleep, .wake), (.quarantined, .wake): .idle
        case (.idle, .claim), (.busy, .claim): .busy
        case (.busy, .finish): .idle
        case (.starting, .drain), (.idle, .drain), (.busy, .drain): .draining
        case (.draining, .finish), (.draining, .sleep), (.idle, .sleep): .asleep
        case (.starting, .quarantine), (.idle, .quarantine), (.busy, .quarantine),
            (.draining, .quarantine):
            .quarantined
        case (.lost, .beHeard): .idle
        case (.lost, .lose): nil
        case (_, .lose): .lost
        default: nil
        }
    }
}

/// What can happen to a worker.
package enum WorkerEvent: String, CaseIterable, Sendable {
    /// Its model is resident.
    case becomeReady
    /// It takes a lease.
    case claim
    /// It holds no lease any more.
    case finish
    /// A person or its own shutdown asks it to take nothing new.
    case drain
    /// It is told to take nothing until it is woken.
    case sleep
    /// A person lets it work again.
    case wake
    /// It failed in several jobs with no success between.
    case quarantine
    /// It was silent for too long.
    case lose
    /// It speaks again after it was lost.
    case beHeard
}

/// Why an attempt failed, which decides what happens next.
package enum FailureClass: String, Codable, CaseIterable, Sendable {
    /// May pass: tried again after back-off.
    case transient
    /// Something ran short: deferred, and no try is spent.
    case resource
    /// Will fail everywhere: given up at once.
    case deterministic
    /// Lies with the worker: tried elsewhere.
    case workersFault
}
