package import FarmModel

/// What one worker made of a picture.
package struct AuditedRendering: Sendable, Hashable {
    package let worker: WorkerID
    /// The worker's name.
    package let name: String
    package let digest: String
    /// Whether other workers had begun it before, whose checkpoint it may have gone on from.
    package let isShared: Bool

    package init(worker: WorkerID, name: String, digest: String, isShared: Bool = false) {
        self.worker = worker
        self.name = name
        self.digest = digest
        self.isShared = isShared
    }
}

/// What the comparison of a picture with its copies says; pure, the store does what it says.
///
/// Pictures of one numeric class are equal byte for byte, so that bytes which differ were made by a
/// worker that does not compute what it says, be it by intent or by a broken machine. Which of two
/// that is, nobody can tell: a third decides, and a worker is accused by two others or not at all.
package enum PictureVerdict: Sendable, Hashable {
    /// Both made the same bytes.
    case equal
    /// Two made different bytes, and a third has to say which are right.
    case disputed
    /// Two agree against the third, which is the one that rendered at this place: the delivered picture
    /// is 0, its copies follow.
    case different(wrong: Int)
    /// All three differ.
    case undecided

    /// Compares a delivered picture, the first, with its copy or both of its copies.
    package init(_ renderings: [AuditedRendering]) {
        precondition((2...3).contains(renderings.count), "A picture has one copy or two")
        let digests = renderings.map(\.digest)
        guard let last = digests.dropFirst(2).first else {
            self = digests[0] == digests[1] ? .equal : .disputed
            return
        }
        self =
            if digests[0] == digests[1] {
                .equal
            } else if last == digests[0] {
                .different(wrong: 1)
            } else if last == digests[1] {
                .different(wrong: 0)
            } else { .undecided }
    }

    /// What happens to the audit.
    var event: PictureAuditEvent {
        switch self {
        case .equal, .different: .agree
        case .disputed, .undecided: .differ
        }
    }

    /// Who is wrong for certain, and who else may be: one that went on with what others had begun may
    /// be wrong by their fault.
    package func accused(
        among renderings: [AuditedRendering]
    ) -> (liar: AuditedRendering?, suspects: [AuditedRendering]) {
        switch self {
        case .equal, .disputed: (nil, [])
        case .undecided: (nil, renderings)
        case .different(let place):
            renderings[place].isShared
                ? (nil, [renderings[place]]) : (renderings[place], [])
        }
    }
}
