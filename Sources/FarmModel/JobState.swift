/// Where a job stands.
package enum JobState: String, Codable, CaseIterable, Sendable {
    /// Accepted; no worker has claimed anything of it.
    case pending
    /// At least one of its tasks was claimed.
    case running
    /// A person holds it; nothing of it is claimed.
    case paused
    /// Every image is delivered.
    case succeeded
    /// An image failed for good and the rest are done, or the farm gave it up with a reason.
    case failed
    /// Stopped by a person.
    case cancelled

    /// Whether nothing more happens to the job by itself.
    package var isFinal: Bool {
        switch self {
        case .pending, .running, .paused: false
        case .succeeded, .failed, .cancelled: true
        }
    }

    /// The state after `event`, or nil where the event cannot happen.
    package func state(after event: JobEvent) -> JobState? {
        switch (self, event) {
        case (.pending, .start): .running
        case (.pending, .pause), (.running, .pause): .paused
        case (.paused, .resume): .pending
        case (.running, .succeed), (.paused, .succeed): .succeeded
        case (.pending, .fail), (.running, .fail), (.paused, .fail): .failed
        case (.pending, .cancel), (.running, .cancel), (.paused, .cancel): .cancelled
        case (.failed, .retry): .running
        default: nil
        }
    }
}

/// What can happen to a job.
package enum JobEvent: String, CaseIterable, Sendable {
    /// A worker claims a task of it.
    case start
    /// A person holds it.
    case pause
    /// A person lets it go on.
    case resume
    /// Its last image was delivered and none failed.
    case succeed
    /// Its last image is done and one failed for good, too many did, or a job that it comes after
    /// did not succeed.
    case fail
    /// A person stops it.
    case cancel
    /// A person asks for another try at what failed.
    case retry
}
