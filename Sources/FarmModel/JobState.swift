/// Where a job stands.
package enum JobState: String, Codable, CaseIterable, Sendable {
    /// Accepted; no worker has claimed anything of it.
    case pending
    /// At least one of its tasks was claimed.
    case running
    /// A person holds it; nothing of it is claimed.
    case paused
    /// Each of its images that is not over waits as a draft for a person. It is derived: the row is
    /// `running`, and as many of its tasks are drafts as are not over.
    case drafted
    /// Every image is delivered, but for drafts that were dropped.
    case succeeded
    /// An image failed for good and the rest are done, or the farm gave it up with a reason.
    case failed
    /// Stopped by a person.
    case cancelled

    /// Whether nothing more happens to the job by itself.
    package var isFinal: Bool {
        switch self {
        case .pending, .running, .paused, .drafted: false
        case .succeeded, .failed, .cancelled: true
        }
    }

    /// Whether no row holds the state, because others decide it.
    package var isDerived: Bool { self == .drafted }

    /// The states that a row holds.
    package static var storedCases: [JobState] { allCases.filter { !$0.isDerived } }

    /// The state after `event`, or nil where the event cannot happen.
    package func state(after event: JobEvent) -> JobState? {
        switch (self, event) {
        case (.pending, .start): .running
        case (.pending, .pause), (.running, .pause), (.drafted, .pause): .paused
        case (.paused, .resume): .pending
        case (.running, .draft): .drafted
        case (.drafted, .keep): .running
        case (.running, .succeed), (.paused, .succeed), (.drafted, .succeed): .succeeded
        case (.pending, .fail), (.running, .fail), (.paused, .fail), (.drafted, .fail): .failed
        case (.pending, .cancel), (.running, .cancel), (.paused, .cancel), (.drafted, .cancel):
            .cancelled
        case (.failed, .retry), (.drafted, .retry): .running
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
    /// The last of its images that were at work became a draft, or ended beside drafts.
    case draft
    /// A person keeps drafts of it.
    case keep
    /// Its last image was delivered, or the last draft beside delivered ones dropped, and none failed.
    case succeed
    /// Its last image is done and one failed for good, too many did, or a job that it comes after
    /// did not succeed.
    case fail
    /// A person stops it, or drops every image of it.
    case cancel
    /// A person asks for another try at what failed.
    case retry
}
