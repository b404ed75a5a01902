/// Where a task stands; a task is what a worker claims.
package enum TaskState: String, Codable, CaseIterable, Sendable {
    /// Not to be claimed now: paused, or waiting for another job. It is derived: the row is `ready`
    /// and its head says what blocks it, so that a pause changes one row however many wait.
    case blocked
    /// To be claimed by the next worker that can run it.
    case ready
    /// A worker holds its lease. It is derived: the row is `ready` and there is a lease of it, so
    /// that a claim writes no row of history.
    case leased
    /// Its image is rendered to the step after which a person decides; no worker has it.
    case drafted
    /// Each of its images is delivered.
    case succeeded
    /// Given up, or some of its images were, with a reason.
    case failed
    /// Stopped by a person, or with its job when the farm gave that up, or a draft that was not kept.
    case cancelled

    /// Whether nothing more happens to the task by itself.
    package var isFinal: Bool {
        switch self {
        case .blocked, .ready, .leased, .drafted: false
        case .succeeded, .failed, .cancelled: true
        }
    }

    /// Whether no row holds the state, because another row's decides it.
    package var isDerived: Bool { self == .blocked || self == .leased }

    /// The states that a row holds.
    package static var storedCases: [TaskState] { allCases.filter { !$0.isDerived } }

    /// The state after `event`, or nil where the event cannot happen.
    package func state(after event: TaskEvent) -> TaskState? {
        switch (self, event) {
        case (.ready, .block): .blocked
        case (.blocked, .unblock): .ready
        case (.ready, .claim): .leased
        case (.leased, .lapse), (.leased, .release), (.leased, .failForNow): .ready
        case (.leased, .draft): .drafted
        case (.drafted, .keep): .ready
        case (.leased, .succeed): .succeeded
        case (.leased, .failForGood): .failed
        case (.blocked, .cancel), (.ready, .cancel), (.leased, .cancel), (.drafted, .cancel):
            .cancelled
        case (.failed, .retry), (.cancelled, .retry): .ready
        default: nil
        }
    }
}

/// What can happen to a task.
package enum TaskEvent: String, CaseIterable, Sendable {
    /// Its job is paused or waits for another.
    case block
    /// What it waited for has come.
    case unblock
    /// A worker takes its lease.
    case claim
    /// Its lease ran out.
    case lapse
    /// Its worker gave it back unharmed, or was made to.
    case release
    /// Its attempt failed in a way that may pass; it is tried again after back-off.
    case failForNow
    /// Its attempt reached the step after which a person decides, with a checkpoint of it.
    case draft
    /// A person keeps its draft: it goes on from the checkpoint.
    case keep
    /// Its attempt delivered the last of its images, and none was given up.
    case succeed
    /// Its attempt failed in a way that will not pass, or once too often; or delivered the last image
    /// after another was given up.
    case failForGood
    /// A person stops it or drops its draft, or the farm does, or gives its job up.
    case cancel
    /// A person asks for another try of what failed, or of what was cancelled when the farm gave the
    /// job up.
    case retry
}
