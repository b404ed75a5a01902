/// Where a group stands; a group is N workers that hold one sharded model.
package enum GroupState: String, Codable, CaseIterable, Sendable {
    /// Its members are reserved and load their slices.
    case forming
    /// Every member is there; it holds no lease.
    case ready
    /// It holds a lease; derived from there being one.
    case busy
    /// It finishes what it holds and takes nothing new.
    case draining
    /// It is no more; its members are free.
    case dissolved

    /// Whether no row holds the state: a lease of its first rank's worker does.
    package var isDerived: Bool { self == .busy }

    /// The states that a row of a group holds.
    package static var storedCases: [GroupState] { allCases.filter { !$0.isDerived } }

    /// Whether nothing more happens to the group.
    package var isFinal: Bool { self == .dissolved }

    /// The state after `event`, or nil where the event cannot happen.
    package func state(after event: GroupEvent) -> GroupState? {
        switch (self, event) {
        case (.forming, .becomeReady): .ready
        case (.ready, .claim), (.busy, .claim): .busy
        case (.busy, .finish): .ready
        case (.ready, .loseMember), (.busy, .loseMember): .forming
        case (.ready, .drain), (.busy, .drain): .draining
        case (.forming, .dissolve), (.ready, .dissolve), (.draining, .dissolve),
            (.draining, .finish), (.draining, .loseMember):
            .dissolved
        default: nil
        }
    }
}

/// What can happen to a group.
package enum GroupEvent: String, CaseIterable, Sendable {
    /// Its last member has loaded its slice.
    case becomeReady
    /// It takes a lease.
    case claim
    /// It holds no lease any more.
    case finish
    /// A member is gone: its epoch ends, and a spare is looked for.
    case loseMember
    /// A person, or the need for another group, asks it to take nothing new.
    case drain
    /// Its reservation ran out, or it is not wanted any more.
    case dissolve
}
