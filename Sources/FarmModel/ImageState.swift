/// Where an image stands; an image is one output picture.
package enum ImageState: String, Codable, CaseIterable, Sendable {
    /// No worker has it.
    case waiting
    /// It belongs to a leased task. It is derived: the row is `waiting` and its task has a lease.
    case rendering
    /// It is rendered to the step after which a person keeps or drops it, and its checkpoint is stored.
    case drafted
    /// Its bytes are stored; this never changes again.
    case delivered
    /// Given up, with a reason.
    case failed
    /// Stopped by a person, or with its job when the farm gave that up, or a draft that was not kept.
    case cancelled

    /// Whether nothing more happens to the image by itself.
    package var isFinal: Bool {
        switch self {
        case .waiting, .rendering, .drafted: false
        case .delivered, .failed, .cancelled: true
        }
    }

    /// Whether no row holds the state, because another row's decides it.
    package var isDerived: Bool { self == .rendering }

    /// The states that a row holds.
    package static var storedCases: [ImageState] { allCases.filter { !$0.isDerived } }

    /// The state after `event`, or nil where the event cannot happen.
    package func state(after event: ImageEvent) -> ImageState? {
        switch (self, event) {
        case (.waiting, .claim): .rendering
        case (.rendering, .giveBack): .waiting
        case (.rendering, .draft): .drafted
        case (.drafted, .keep): .waiting
        case (.rendering, .deliver): .delivered
        case (.rendering, .failForGood): .failed
        case (.waiting, .cancel), (.rendering, .cancel), (.drafted, .cancel): .cancelled
        case (.failed, .retry), (.cancelled, .retry): .waiting
        default: nil
        }
    }
}

/// What can happen to an image.
package enum ImageEvent: String, CaseIterable, Sendable {
    /// A worker takes the lease of its task.
    case claim
    /// Its attempt ended without it, and its task is to be tried again.
    case giveBack
    /// Its checkpoint after the step of the draft and a picture of it are stored under a current lease.
    case draft
    /// A person keeps it: it goes on from the checkpoint.
    case keep
    /// Its bytes are stored under a current lease.
    case deliver
    /// It is given up, alone or with its task.
    case failForGood
    /// A person stops or drops it, or the farm does, or gives its job up.
    case cancel
    /// A person asks for another try of what failed, or of what was cancelled when the farm gave the
    /// job up.
    case retry
}
