/// How far the audit of a picture is: it is rendered again by other workers of its class and compared.
package enum PictureAuditState: String, Codable, CaseIterable, Sendable {
    /// The picture was drawn; nobody renders it again yet.
    case drawn
    /// Another worker is to render it, or does.
    case rendering
    /// Two workers made different bytes; a third one is to say which is right.
    case disputed
    /// The other worker made the same bytes.
    case equal
    /// Two workers agreed, and one did not.
    case different
    /// Two workers made different bytes, and no third one agreed with either.
    case undecided
    /// No other worker of the class rendered it in time.
    case noWorker = "no_worker"
    /// The picture's job was deleted before.
    case moot

    /// Whether nothing follows it.
    package var isFinal: Bool {
        switch self {
        case .drawn, .rendering, .disputed: false
        case .equal, .different, .undecided, .noWorker, .moot: true
        }
    }

    /// The state after `event`, or nil where the event cannot happen.
    package func state(after event: PictureAuditEvent) -> PictureAuditState? {
        switch (self, event) {
        case (.drawn, .begin): .rendering
        case (.rendering, .agree): .equal
        case (.rendering, .differ): .disputed
        case (.disputed, .agree): .different
        case (.disputed, .differ), (.disputed, .giveUp): .undecided
        case (.drawn, .giveUp), (.rendering, .giveUp): .noWorker
        case (.drawn, .drop), (.rendering, .drop), (.disputed, .drop): .moot
        default: nil
        }
    }
}

/// What can happen to the audit of a picture.
package enum PictureAuditEvent: String, CaseIterable, Sendable {
    /// Its first copy stands in the queue.
    case begin
    /// The latest copy has the bytes of one before it.
    case agree
    /// The latest copy has bytes of its own.
    case differ
    /// Its time is over, or the copy failed.
    case giveUp
    /// The picture's job is gone.
    case drop
}
